#!/usr/bin/env bash
# Makes sure that there is a Docker engine with Compose v2, as scripts/setup.ts does on a server, and git, which makes
# the repositories of the fixtures.
engine=$(dirname "${BASH_SOURCE[0]}")/../lib/docker/engine.sh
networks=/var/lib/docker/network/files/local-kv.db

"$engine" git && exit
# An engine of Debian 12 that was killed while networks were made and removed, as the engine of a run that was stopped,
# panics at each start until it forgets them (moby#45057).
tail -n 50 /var/log/dockerd.log 2>/dev/null | grep -q 'libnetwork.*reservePools' || exit 69
printf 'engine: its list of networks is broken; it makes a new one\n' >&2
mv "$networks" "$networks.broken"
exec "$engine" git
