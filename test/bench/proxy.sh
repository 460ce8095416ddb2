#!/usr/bin/env bash
# proxy.sh ROUNDS SECONDS: what a request costs nginx, with the switch in shared memory and as it was until 0.3 (a map
# and a reload), in turn; over TLS, by HTTP/1.1 and HTTP/2, for a page of an app; and what a script of 100 kB costs that
# was taken out of an image, that nginx keeps, and that an app (Node) is asked for each time. Prints a line of JSON for
# each: kind, protocol, requests, failed, seconds, cpu (seconds, of nginx and the app).
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
BATS_FILE_TMPDIR=$(mktemp -d)
# shellcheck source=test/helpers/nginx.bash
source "$checkout/test/helpers/nginx.bash"
project=avril-bench-proxy
nginx_image=$(image_of nginx)
node_image=$(image_of nuxt_profile)

remove_all
trap 'remove_all; rm -rf "$BATS_FILE_TMPDIR"' EXIT
docker network create --label "$project" "$project" >/dev/null
start_app
docker run -d --name "$project-files" --label "$project" --network "$project" --network-alias nuxt_profile \
  --entrypoint node "$node_image" -e '
  const body = Buffer.alloc(100000, "let a = 1\n")
  require("node:http").createServer((request, response) => {
    const kept = request.url.endsWith("/kept.js") ? { "cache-control": "public, max-age=31536000, immutable" } : {}
    response.writeHead(200, { "content-type": "text/javascript", ...kept }).end(body)
  }).listen(3000)' >/dev/null
for kind in memory reload; do
  proxy "$kind" avril.test 1000 10
  certificate avril.test "$BATS_FILE_TMPDIR/a copy/$kind/ssl"
done
"$checkout/test/helpers/former_nginx.sh" "$BATS_FILE_TMPDIR/a copy/reload/nginx"
printf '{"upstreams":[{"address":"%s","rollout":null}]}' \
  "$project-app:4000" >"$BATS_FILE_TMPDIR/a copy/memory/nginx/live/phoenix.json"
printf '"~^phoenix [0123456789abcdef]" %s;\n' \
  "$project-app:4000" >"$BATS_FILE_TMPDIR/a copy/reload/nginx/live/phoenix.map"
mkdir -p "$BATS_FILE_TMPDIR/a copy/memory/nginx/assets/mon-espace/_nuxt"
head -c 100000 < <(yes 'let a = 1') | tee "$BATS_FILE_TMPDIR/a copy/memory/nginx/assets/mon-espace/_nuxt/taken.js" |
  gzip -9 >"$BATS_FILE_TMPDIR/a copy/memory/nginx/assets/mon-espace/_nuxt/taken.js.gz"
docker start "$project-memory" "$project-reload" >/dev/null
for kind in memory reload; do await "$kind" /; done

# Seconds of CPU that nginx has used, by either version of control groups.
cpu_of() {
  # shellcheck disable=SC2016 # for the shell in the container
  inside "$1" sh -c 'cat /sys/fs/cgroup/cpu.stat 2>/dev/null || echo "usage_usec $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000))"' |
    awk '$1 == "usage_usec" { printf "%.6f", $2 / 1e6 }'
}

# run KIND PROXY PROTOCOL PATH SECONDS
run() {
  local before after options=(-c 40 -t 1 -D "$5" --connect-to="127.0.0.1:$(port_of "$2" \
    443)" -H 'accept-encoding: gzip')
  before="$(cpu_of "$2") + $(cpu_of files)"
  [ "$3" = h2 ] || options+=(--h1)
  h2load "${options[@]}" "https://avril.test$4" >"$BATS_FILE_TMPDIR/out"
  after="$(cpu_of "$2") + $(cpu_of files)"
  # requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout
  awk -v kind="$1" -v protocol="$3" -v seconds="$5" -v cpu="$(awk "BEGIN { print $after - ($before) }")" '/^requests:/ {
    printf "{\"kind\":\"%s\",\"protocol\":\"%s\",\"requests\":%d,\"failed\":%d,\"seconds\":%d,\"cpu\":%s}\n", kind, protocol, $8, $10, seconds, cpu }' "$BATS_FILE_TMPDIR/out"
}

for ((round = 0; round < $1; round++)); do
  for protocol in h1 h2; do
    for kind in memory reload; do run "$kind" "$kind" "$protocol" / "$2"; done
  done
  for kind in taken kept; do run "$kind" memory h2 "/mon-espace/_nuxt/$kind.js" "$2"; done
  run asked memory h2 /mon-espace/asked.js "$2"
done
