#!/usr/bin/env bash
# checks.sh ROUNDS SECONDS: what nginx's look for a pause and for maintenance costs each request while there is neither:
# with both (as it is), and without, in turn; plain HTTP/1.1, for a small page of an app. Prints a line for each: kind,
# requests, seconds, and the CPU of nginx in µs a request.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
BATS_FILE_TMPDIR=$(mktemp -d)
# shellcheck source=test/helpers/nginx.bash
source "$checkout/test/helpers/nginx.bash"
project=avril-bench-checks
nginx_image=$(image_of nginx)

remove_all
trap 'remove_all; rm -rf "$BATS_FILE_TMPDIR"' EXIT
docker network create --label "$project" "$project" >/dev/null
start_app
for kind in with without; do
  proxy "$kind" localhost 1000 10
  printf '{"upstreams":[{"address":"%s","rollout":null}]}' \
    "$project-app:4000" >"$BATS_FILE_TMPDIR/a copy/$kind/nginx/live/phoenix.json"
done
: >"$BATS_FILE_TMPDIR/a copy/without/nginx/hold.conf"
# shellcheck disable=SC2016 # for sed
sed -i '/^set \$closed/,/^error_page 427/d' "$BATS_FILE_TMPDIR/a copy/without/nginx/public.conf"
for kind in with without; do
  docker start "$project-$kind" >/dev/null
  await "$kind" /
done

# Microseconds of CPU that nginx has used, by either version of control groups.
cpu_of() {
  # shellcheck disable=SC2016 # for the shell in the container
  inside "$1" sh -c 'cat /sys/fs/cgroup/cpu.stat 2>/dev/null || echo "usage_usec $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000))"' |
    awk '$1 == "usage_usec" { print $2 }'
}

for ((round = 0; round < $1; round++)); do
  for kind in with without; do
    before=$(cpu_of "$kind")
    h2load --h1 -c 20 -t 1 -D "$2" "http://127.0.0.1:$(port_of "$kind" 80)/" >"$BATS_FILE_TMPDIR/out"
    after=$(cpu_of "$kind")
    awk -v kind="$kind" -v seconds="$2" -v cpu="$((after - before))" \
      '/^requests:/ { if ($8 < 1 || $10 > 0) exit 1; printf "%s %d %d %.1f\n", kind, $8, seconds, cpu / $8 }' \
      "$BATS_FILE_TMPDIR/out"
  done
done
