#!/usr/bin/env bash
# handshakes.sh ROUNDS SECONDS: what a new TLS connection costs nginx whose certificate is a file that it reads at its
# start (as it was until 0.3), by a variable with ssl_certificate_cache (as it is), and without that. Prints a line for
# each: kind, connections, seconds, and the CPU of nginx in seconds.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
BATS_FILE_TMPDIR=$(mktemp -d)
# shellcheck source=test/helpers/nginx.bash
source "$checkout/test/helpers/nginx.bash"
project=avril-bench-handshakes
nginx_image=$(image_of nginx)
kinds=(file variable uncached)

remove_all
trap 'remove_all; rm -rf "$BATS_FILE_TMPDIR"' EXIT
docker network create --label "$project" "$project" >/dev/null
for kind in "${kinds[@]}"; do
  proxy "$kind" avril.test 1000 10
  folder="$BATS_FILE_TMPDIR/a copy/$kind"
  certificate avril.test "$folder/ssl"
  # s_time names no site.
  sed -i 's#ssl_reject_handshake on;#include /etc/nginx/avril/certificate.conf;#' "$folder/nginx/modes/tls.conf"
done
printf 'ssl_certificate /ssl/fullchain.pem;\nssl_certificate_key /ssl/privkey.pem;\n' >"$BATS_FILE_TMPDIR/a copy/file/nginx/certificate.conf"
sed -i '/^ssl_certificate_cache/d' "$BATS_FILE_TMPDIR/a copy/uncached/nginx/modes/tls.conf"
for kind in "${kinds[@]}"; do
  docker start "$project-$kind" >/dev/null
  inside "$kind" curl -fsS -o /dev/null --retry 50 --retry-all-errors http://127.0.0.1:8081/nginx 2>/dev/null
done

# Seconds of CPU that nginx has used, by either version of control groups.
cpu_of() {
  # shellcheck disable=SC2016 # for the shell in the container
  inside "$1" sh -c 'cat /sys/fs/cgroup/cpu.stat 2>/dev/null || echo "usage_usec $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000))"' |
    awk '$1 == "usage_usec" { printf "%.6f", $2 / 1e6 }'
}

for ((round = 0; round < $1; round++)); do
  for kind in "${kinds[@]}"; do
    before=$(cpu_of "$kind")
    counted=$(openssl s_time -connect "127.0.0.1:$(port_of "$kind" 443)" -new -time "$2" 2>"$BATS_FILE_TMPDIR/said" |
      sed -n 's/^\([0-9]*\) connections in \([0-9]*\) real.*/\1 \2/p') ||
      { tail -n 3 "$BATS_FILE_TMPDIR/said" >&2; exit 1; }
    echo "$kind $counted $(awk "BEGIN { print $(cpu_of "$kind") - $before }")"
  done
done
