#!/bin/sh
# Run in the container after reload.sh: ends when the workers of all former configurations are gone, so that nothing is
# sent to an instance that is no longer live. nginx ends them itself after DRAIN_SECONDS, whatever they hold.
#   docker compose exec -T nginx /etc/nginx/avril/drained.sh
set -eu

tries=$((${DRAIN_SECONDS:-30} * 50 + 250))
# [i]s: the pattern must not find the title of this very grep.
while grep -qsa '^nginx: worker process [i]s shutting down' /proc/[0-9]*/cmdline; do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo 'an old worker of nginx is still there 5 s after DRAIN_SECONDS' >&2
    exit 1
  fi
  sleep 0.02
done
