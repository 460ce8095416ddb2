# A site on three machines of this one (test/cluster.sh), which are a Swarm; the scripts run on the first.
# shellcheck shell=bash
load helpers/site
load helpers/acme

# The images that the site on a node is made of. What runs there has no network outside, so what the apps are built from
# has all that they need.
load_images() {
  local node=$1 image
  docker save nginx:1.30.5 registry:3 postgis/postgis:18-3.6 pgsty/silo:RELEASE.2026-09-16T00-00-00Z |
    on "$node" docker load --quiet
  for image in node:24.21.0-trixie-slim elixir:1.20.2-slim; do
    build_with_curl "$image" "avril-cluster-${image%%:*}"
    docker save "avril-cluster-${image%%:*}" | on "$node" docker load --quiet
    on "$node" docker tag "avril-cluster-${image%%:*}" "$image"
  done
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

# On the db node: FIRST, when it is another than 1
node_script() {
  local name=$1
  shift
  there "${FIRST:-1}" node "scripts/$name.js" "$@"
}

node_deploy() { node_script deploy_local --observe 0 --probation 0 "$@"; }

# cluster_up: three machines, a site on the first that runs, and nothing of a Swarm yet
cluster_up() {
  export CLUSTER=/tmp/avril-cluster PLAY=/tmp/avril-cluster/home/play STACK=avril-test-cluster
  export SITE=$PLAY/avril-scripts
  "$HERE/images.sh" registry 3>&-
  "$HERE/cluster.sh" up "$CLUSTER" 3>&-
  STACK_NAME=$STACK STACK_PORT=80 "$HERE/stack.sh" "$PLAY"
  quick_recipes
  quiet_probes
  # One address for all of them; nobody is limited.
  set_env "BACKUP_DIR=$PLAY/backups" NGINX_BIND=0.0.0.0 NGINX_TLS_PORT=443 POST_RATE=10000 DRAIN_SECONDS=10 \
    PHOENIX_REPLICAS=2
  compile_site
  load_images 1
  docker save nginx:1.30.5 | on 2 docker load --quiet
  docker save nginx:1.30.5 | on 3 docker load --quiet
  there 1 docker compose up --detach --wait --quiet-pull
}

cluster_down() {
  acme_remove
  "$HERE/cluster.sh" down "$CLUSTER" 3>&-
  rm -rf "${CLUSTER:?}"
}

# An authority on the switch of the nodes, as AUTHORITY, which has certbot, too; node 1 finds that in ACME_BIN.
acme_beside() {
  export AUTHORITY=127.0.0.1 ACME_BIN=$BATS_FILE_TMPDIR/bin
  "$HERE/images.sh" acme 3>&-
  acme_files $((90 * 86400))
  docker run --detach --name "$STACK-authority" --label avril-test-acme --network none \
    --volume "$BATS_FILE_TMPDIR/authority:/authority" --volume "$PLAY:$PLAY" --entrypoint sh "$ACME_IMAGE" \
    /authority/start.sh >/dev/null
  local pid
  pid=$(docker inspect --format '{{.State.Pid}}' "$STACK-authority")
  ip link add eth0 netns "$pid" type veth peer name avril-vacme netns avril-switch
  ip -n avril-switch link set avril-vacme master bridge0 up
  nsenter --net="/proc/$pid/ns/net" sh -c 'ip addr add 10.77.0.20/24 dev eth0; ip link set eth0 up'
  acme_await
  mkdir "$ACME_BIN"
  # On the machine that the nodes are on: what is started on a node sees only that one's engine.
  cat >"$ACME_BIN/certbot" <<SH
#!/bin/sh
exec nsenter --target $$ --mount --net docker exec --env REQUESTS_CA_BUNDLE=/authority/root.pem "$STACK-authority" certbot "\$@"
SH
  chmod +x "$ACME_BIN/certbot"
}

# The serial number of the certificate that nginx of a node serves
serial_on() {
  from_outside openssl s_client -connect "10.77.0.1$1:443" -servername avril.test </dev/null 2>/dev/null |
    openssl x509 -noout -serial
}

cut_off() { "$HERE/cluster.sh" link "$CLUSTER" "$1" down; }
connect() { "$HERE/cluster.sh" link "$CLUSTER" "$1" up; }
power() { "$HERE/cluster.sh" power "$CLUSTER" "$1" 3>&-; }
burn() { "$HERE/cluster.sh" burn "$CLUSTER" "$1" 3>&-; }
# What a node has as PLAY
home_of() { echo "$CLUSTER/$1/home/play"; }

# loads_start NODE …: requests to the nginx of each, at a constant rate, until loads_stop; LOAD_RATE a second. With
# LOAD_ALL also websockets, and uploads that take a while
loads_start() {
  local node kinds=(--slow 1 --websocket 0)
  [ -z "${LOAD_ALL:-}" ] || kinds=(--slow 1 --websocket 1 --upload 1 --long 5)
  LOADED=("$@") LOAD_PIDS=() LOAD_FDS=()
  for node in "$@"; do
    local name=$BATS_TEST_TMPDIR/load$node fd
    [ -p "$name.in" ] || mkfifo "$name.in"
    : >"$name.err"
    nsenter --net=/run/netns/avril-switch node "$SITE/test/load/load.js" --url "http://10.77.0.1$node" \
      --rate "${LOAD_RATE:-50}" \
      "${kinds[@]}" --until-stdin-closes --json "$name.json" --drain 10 <"$name.in" >"$name.out" 2>"$name.err" 3>&- &
    LOAD_PIDS+=("$!")
    exec {fd}>"$name.in"
    LOAD_FDS+=("$fd")
    await_line "$name.err" ' sent '
  done
}

# loads_stop [TIME]: ends them. Sets FAILED, how many failed of each node, as "1:0 2:0", and LATE, how many of these
# were sent after a time (milliseconds): they were not in flight then.
# shellcheck disable=SC2034 # for the test
loads_stop() {
  local index node fd failed=() late=()
  # All before any is waited for: each has those of the ones before it open, too.
  for fd in "${LOAD_FDS[@]}"; do exec {fd}>&-; done
  for index in "${!LOADED[@]}"; do
    wait "${LOAD_PIDS[$index]}" || true
    node=${LOADED[$index]}
    cat "$BATS_TEST_TMPDIR/load$node.out" >&2
    failed+=("$node:$(failures "$node" 0)")
    late+=("$node:$(failures "$node" "${1:-0}")")
  done
  LOAD_PIDS=() FAILED=${failed[*]} LATE=${late[*]}
}

# failures NODE TIME: how many of its requests failed that were due after a time
failures() {
  node -e 'const { startedAt, rows } = JSON.parse(require("fs").readFileSync(process.argv[1]))
    console.log(rows.filter(it => !it.ok && Date.parse(startedAt) + it.at > Number(process.argv[2])).length)' "$BATS_TEST_TMPDIR/load$1.json" "$2"
}

milliseconds() { date +%s%3N; }

loads_abandon() { [ -z "${LOAD_PIDS[*]:-}" ] || kill "${LOAD_PIDS[@]}" 2>/dev/null || true; }

# What the live release says of itself, on a node
greeting_on() { from_outside curl -fsS "http://10.77.0.1$1/version" | sed -E 's/.*"greeting":"([^"]*)".*/\1/'; }

# answers NODE SECONDS: asks it again and again; prints what came, each once: the status code and what the release says
# of itself, as "200 revision 3"
answers() {
  # shellcheck disable=SC2016 # for that shell
  from_outside sh -c 'end=$(($(date +%s) + $1)); while [ "$(date +%s)" -lt "$end" ]; do curl -s -m 8 -w " %{http_code}\n" "http://10.77.0.1$0/version"; sleep 0.2; done' "$1" "$2" |
    sed -E 's/.*"greeting":"([^"]*)".* ([0-9]+)$/\2 \1/' | sort -u
}

# The instances of phoenix that the Swarm has, as "node1 node2"
places() {
  on "${FIRST:-1}" docker service ps --filter desired-state=running --format '{{.Node}}' \
    "$(on "${FIRST:-1}" docker service ls --quiet --filter label=avril.service=phoenix)" | sort | xargs
}

# until_true COMMAND …: two minutes at most
until_true() {
  local end=$((SECONDS + 120))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.5
  done
}

has_leader() { [[ $(on "$1" docker node ls --format '{{.ManagerStatus}}' 2>/dev/null) == *Leader* ]]; }

# The number of the node that leads, by one that is not lost (1): leader [NODE]
leader() {
  until_true has_leader "${1:-1}"
  on "${1:-1}" docker node ls --format '{{.Hostname}} {{.ManagerStatus}}' | sed -n 's/^node\(.*\) Leader$/\1/p'
}

is_manager() {
  [[ $(on "$1" docker info --format '{{.Swarm.ControlAvailable}}') == true ]] && on "$1" docker node ls >/dev/null 2>&1
}
is_worker() { [[ $(on "$1" docker info --format '{{.Swarm.ControlAvailable}}') == false ]]; }
is_reachable() {
  [[ $(on "$2" docker node inspect --format '{{.ManagerStatus.Reachability}}' "node$1" 2>/dev/null) == reachable ]]
}

# abdicate NODE: another manager leads from now on
abdicate() {
  local other=$(($1 % 3 + 1))
  # The managers may say "update out of sequence", and mean: ask again.
  until_true on "$other" docker node demote "node$1"
  until_true is_worker "$1"
  until_true on "$other" docker node promote "node$1"
  until_true is_manager "$1"
  until_true is_reachable "$1" "$other"
}
