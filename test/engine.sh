#!/usr/bin/env bash
# Makes sure that there is a Docker engine with Compose v2, as scripts/setup.ts does on a server, and git, which makes the repositories of the fixtures.
exec "$(dirname "${BASH_SOURCE[0]}")/../lib/docker/engine.sh" git
