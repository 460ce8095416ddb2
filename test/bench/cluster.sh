#!/usr/bin/env bash
# cluster.sh up|down: the cluster of the tests for the benchmark, as root: three machines that are a Swarm, each of
# which notes what its program `docker` is asked. up prints the folder of the scripts, which is one path on all of them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bats_require_minimum_version() { :; }
# Of what the helpers of the tests load, bats' own is not needed.
# shellcheck disable=SC1090 # that one is checked by itself
load() { case $1 in helpers/*) source "$here/../$1.bash" ;; esac; }
# shellcheck source=test/helpers/cluster.bash
source "$here/../helpers/cluster.bash"
exec 4>&1 1>&2 3>/dev/null

note_calls() {
  local shim=$CLUSTER/home/shim
  mkdir -p "$shim"
  # shellcheck disable=SC2016 # for that shell
  printf '#!/bin/sh\nprintf "%%s\\n" "$*" >>"$DOCKER_CALLS"\nexec %s "$@"\n' "$(command -v docker)" >"$shim/docker"
  chmod +x "$shim/docker"
}

case ${1:?usage: cluster.sh up|down} in
  up)
    # Its engines outlive this script: they must not keep open what it prints to.
    cluster_up 4>&-
    note_calls
    node_deploy avril
    node_script setup --swarm 10.77.0.11
    node_script setup --join node2 --manager
    node_script setup --join node3 --manager
    printf '%s\n' "$SITE" >&4
    ;;
  down)
    CLUSTER=/tmp/avril-cluster
    cluster_down
    ;;
esac
