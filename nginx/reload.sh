#!/bin/sh
# Run in the container: makes nginx take up its configuration, and ends when no old worker accepts a request any more. A
# deploy runs it when a file has changed since (taken_up).
# 78: the configuration or the certificate is refused, and the former goes on.
#   docker compose exec -T nginx /etc/nginx/avril/reload.sh
set -eu

# A site that is closed for its certificate is reloaded all the same.
if ! chosen=$(/etc/nginx/avril/certificate.sh) && [ "${chosen%% *}" = tls ]; then
  printf '%s\n' "$chosen" >&2
  exit 78
fi
# What is changed from now on is for the next one.
touch /run/avril/taken_up.new
nginx -t -q -c /etc/nginx/avril/nginx.conf || exit 78

# A worker says in its title what it does; the signal alone proves nothing. [w]: the pattern must not find grep's own
# title.
before=$(grep -lszx 'nginx: [w]orker process' /proc/[0-9]*/cmdline) || true
kill -HUP "$(cat /run/nginx.pid)"

tries=500
# shellcheck disable=SC2086 # a list of paths
while [ -n "$before" ] && grep -qszx 'nginx: [w]orker process' $before; do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo 'nginx did not take up its new configuration within 10 s; its log says why' >&2
    exit 1
  fi
  sleep 0.02
done
mv /run/avril/taken_up.new /run/avril/taken_up
