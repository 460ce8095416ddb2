# A site on three machines of this one (test/cluster.sh), which are a Swarm; the scripts run on the first.
# shellcheck shell=bash
load helpers/site

# What runs on the nodes has no network outside, so what the apps are built from has all that they need.
with_curl() {
  local image=$1
  printf 'FROM %s\nRUN command -v curl >/dev/null || (apt-get update && apt-get install -y --no-install-recommends curl ca-certificates && rm -rf /var/lib/apt/lists/*)\n' "$image" |
    docker build --quiet --tag "avril-cluster-${image%%:*}" - >/dev/null 3>&-
  docker save "avril-cluster-${image%%:*}" | on 1 docker load --quiet
  on 1 docker tag "avril-cluster-${image%%:*}" "$image"
}

# on NODE COMMAND …
on() { "$HERE/cluster.sh" on "$CLUSTER" "$@" 3>&-; }

# from_outside COMMAND …: as somebody who reaches all of them
from_outside() { nsenter --net=/run/netns/avril-switch -- "$@" 3>&-; }

# there NODE COMMAND …: in the folder of the scripts
there() {
  local node=$1
  shift
  # shellcheck disable=SC2016 # for that shell
  on "$node" sh -c 'cd "$0" && exec "$@"' "$SITE" "$@"
}

node_script() {
  local name=$1
  shift
  there 1 node "scripts/$name.js" "$@"
}

node_deploy() { node_script deploy_local --observe 0 --probation 0 "$@"; }

# cluster_up: three machines, a site on the first that runs, and nothing of a Swarm yet
cluster_up() {
  local image
  export CLUSTER=/tmp/avril-cluster PLAY=/tmp/avril-cluster/home/play STACK=avril-test-cluster
  export SITE=$PLAY/avril-scripts
  "$HERE/images.sh" registry 3>&-
  "$HERE/cluster.sh" up "$CLUSTER" 3>&-
  STACK_NAME=$STACK STACK_PORT=80 "$HERE/stack.sh" "$PLAY"
  quick_recipes
  quiet_probes
  # One address for all of them; nobody is limited.
  set_env NGINX_BIND=0.0.0.0 NGINX_TLS_PORT=443 POST_RATE=10000 DRAIN_SECONDS=10 PHOENIX_REPLICAS=2
  node "$HERE/helpers/compile.mjs" "$SITE" 3>&-
  for image in nginx:1.30.5 registry:3 postgis/postgis:18-3.6 pgsty/silo:RELEASE.2026-09-16T00-00-00Z; do docker save "$image" | on 1 docker load --quiet; done
  for image in node:24.21.0-trixie-slim elixir:1.20.2-slim; do with_curl "$image"; done
  docker save nginx:1.30.5 | on 2 docker load --quiet
  docker save nginx:1.30.5 | on 3 docker load --quiet
  there 1 docker compose up --detach --wait --quiet-pull
}

cluster_down() {
  "$HERE/cluster.sh" down "$CLUSTER" 3>&-
  rm -rf "${CLUSTER:?}"
}

cut_off() { "$HERE/cluster.sh" link "$CLUSTER" "$1" down; }
connect() { "$HERE/cluster.sh" link "$CLUSTER" "$1" up; }

# loads_start NODE …: requests to the nginx of each, at a constant rate, until loads_stop; LOAD_RATE a second
loads_start() {
  local node
  LOADED=("$@") LOAD_PIDS=() LOAD_FDS=()
  for node in "$@"; do
    local name=$BATS_TEST_TMPDIR/load$node fd
    mkfifo "$name.in"
    nsenter --net=/run/netns/avril-switch node "$SITE/test/load/load.js" --url "http://10.77.0.1$node" --rate "${LOAD_RATE:-50}" \
      --slow 1 --websocket 0 --until-stdin-closes --json "$name.json" --drain 10 <"$name.in" >"$name.out" 2>"$name.err" 3>&- &
    LOAD_PIDS+=("$!")
    exec {fd}>"$name.in"
    LOAD_FDS+=("$fd")
    await_line "$name.err" ' sent '
  done
}

# Ends them; prints how many failed of each node, as "1:0 2:0".
loads_stop() {
  local index node fd failed=()
  # All before any is waited for: each has those of the ones before it open, too.
  for fd in "${LOAD_FDS[@]}"; do exec {fd}>&-; done
  for index in "${!LOADED[@]}"; do
    wait "${LOAD_PIDS[$index]}" || true
    node=${LOADED[$index]}
    cat "$BATS_TEST_TMPDIR/load$node.out" >&2
    failed+=("$node:$(node -p "JSON.parse(require('fs').readFileSync('$BATS_TEST_TMPDIR/load$node.json')).failed")")
  done
  LOAD_PIDS=()
  # shellcheck disable=SC2034 # for the test
  FAILED=${failed[*]}
}

loads_abandon() { [ -z "${LOAD_PIDS[*]:-}" ] || kill "${LOAD_PIDS[@]}" 2>/dev/null || true; }

# answers NODE SECONDS: asks it again and again; prints the status codes that came, each once with its count
answers() {
  # shellcheck disable=SC2016 # for that shell
  from_outside sh -c 'end=$(($(date +%s) + $1)); while [ "$(date +%s)" -lt "$end" ]; do curl -s -o /dev/null -m 8 -w "%{http_code}\n" "http://10.77.0.1$0/version"; sleep 0.2; done' "$1" "$2" | sort | uniq -c | awk '{ print $2 }' | xargs
}

# The instances of phoenix that the Swarm has, as "node1 node2"
places() { on 1 docker service ps --filter desired-state=running --format '{{.Node}}' "$(on 1 docker service ls --quiet --filter label=avril.service=phoenix)" | sort | xargs; }
