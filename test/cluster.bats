#!/usr/bin/env bats
# Three machines that are a Swarm. ROUNDS, KILLS and PHASES have the same shown more often: ROUNDS=10 KILLS=40
# PHASES='build migrate start healthy switch observe drain stop tidy'. Each test goes on with what the one before has
# left: a cluster takes minutes to bring up on a busy machine.
load helpers/cluster

setup_file() { cluster_up >&2; }
teardown_file() { cluster_down; }
teardown() { loads_abandon; }

@test "a single server becomes the first node, and others join it: the same instances serve all the while" {
  run -0 node_deploy avril
  run -0 node_script setup --swarm 10.77.0.11
  run -0 node_script setup --join node2 --manager
  # First a worker, to which the networks are unknown until something is in them.
  run -0 node_script setup --join node3
  run -0 node_script setup --join node3 --manager
  local node
  for node in 1 2 3; do
    run -0 from_outside curl -fsS "http://10.77.0.1$node/healthcheck"
    assert_output ok
    run -0 from_outside curl -fsS "http://10.77.0.1$node/version"
  done
  # The first rollout in the Swarm takes the place of containers of Compose, and loses nothing either.
  loads_start 1 2
  run -0 node_deploy avril
  loads_stop
  assert_equal "$FAILED" '1:0 2:0'
  run -0 there 1 docker ps --quiet --filter label=com.docker.compose.service=phoenix
  assert_output ''
}

@test "what joined has no key of the registry's authority, and nobody without a certificate gets an image" {
  run -0 on 2 sh -c 'ls /etc/docker/certs.d/10.77.0.11:5000'
  assert_output $'ca.crt\nclient.cert\nclient.key'
  run from_outside curl -sS -k https://10.77.0.11:5000/v2/_catalog
  assert_failure
}

# bats test_tags=long
@test "rollouts in a row under load to two nginx, with websockets and uploads: none is lost" {
  LOAD_ALL=yes loads_start 2 3
  local round
  for ((round = 0; round < ${ROUNDS:-3}; round++)); do run -0 node_deploy avril; done
  loads_stop
  assert_equal "$FAILED" '2:0 3:0'
}

# bats test_tags=long
@test "the number of replicas is changed by a deploy, without a loss" {
  set_env PHOENIX_REPLICAS=3
  loads_start 2 3
  run -0 node_deploy avril
  loads_stop
  assert_equal "$FAILED" '2:0 3:0'
  assert_equal "$(places)" 'node1 node2 node3'
  # Each once, that of the db node, too.
  run -0 --separate-stderr node_script status --json
  run -0 node -p 'JSON.parse(process.argv[1]).services.find(it => it.service === "phoenix").instances.length' "$output"
  assert_output 3
}

# bats test_tags=long
@test "a release that is ill on its nodes is taken back on all of them" {
  commit avril HEALTH=fail >/dev/null
  loads_start 2 3
  run node_script deploy_local --observe 0 --probation 0 --timeout 20 avril
  assert_failure
  assert_output --partial 'the site is as it was'
  loads_stop
  assert_equal "$FAILED" '2:0 3:0'
  commit avril HEALTH=ok GREETING=good >/dev/null
  assert [ ! -e "$SITE/.state/rollout.json" ]
}

# bats test_tags=long
@test "a script that is killed at any moment: nobody notices, and the next run puts all in order" {
  loads_start 1 2
  local left=${KILLS:-4}
  while [ "$left" -gt 0 ]; do
    left=$((left - 1))
    # shellcheck disable=SC2016 # for that shell, which becomes the script
    there 1 sh -c 'echo "$$" >"$0"; exec node scripts/deploy_local.js --observe 0 --probation 0 avril' \
      "$BATS_TEST_TMPDIR/pid" >"$BATS_TEST_TMPDIR/killed" 2>&1 &
    sleep "$((2 + RANDOM % 25)).$((RANDOM % 10))"
    kill -9 "$(cat "$BATS_TEST_TMPDIR/pid")" 2>/dev/null || true
    wait "$!" || true
  done
  run -0 node_deploy avril
  loads_stop
  assert_equal "$FAILED" '1:0 2:0'
  run -0 on 1 docker service ls --quiet --filter label=avril.service=phoenix
  assert_equal "${#lines[@]}" 1
}

# bats test_tags=long
@test "a node is cut off, and the site goes on, also with a rollout; back, it serves nothing of before" {
  set_env PHOENIX_REPLICAS=3
  run -0 node_deploy avril
  commit avril 'GREETING=while it was away' >/dev/null
  loads_start 1 2
  local cut
  cut_off 3
  cut=$(milliseconds)
  run -0 node_deploy avril
  assert_output --partial 'nginx of node3 is left out'
  run node_script status
  assert_output --regexp '✗ node node3 .*not heard'
  run -0 node_script logs --no-follow --tail 1 phoenix
  connect 3
  run -0 answers 3 20
  assert_output "200 $(greeting_on 1)"
  loads_stop "$cut"
  echo "# failed: $FAILED" >&3
  assert_equal "$LATE" '1:0 2:0'
  run -0 from_outside curl -fsS http://10.77.0.13/healthcheck
}

# begin PHASE: a deploy in the background, as DEPLOY, that has entered the phase
begin() {
  local observed=0
  [ "$1" != observe ] || observed=10
  : >"$BATS_TEST_TMPDIR/err"
  node_script deploy_local --observe "$observed" --probation 5 avril >/dev/null 2>"$BATS_TEST_TMPDIR/err" &
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" "^→ $1"
}

# Waits for it; HOW says what came of it.
await_end() {
  wait "$DEPLOY" || true
  HOW=$(grep -oE 'the site is as it was|going back failed too|is deployed, but|is live at' "$BATS_TEST_TMPDIR/err" |
    tail -n 1)
}

# The next deploy ends well, and nothing is left of the one before.
assert_converges() {
  run -0 node_deploy avril
  assert [ ! -e "$SITE/.state/rollout.json" ]
  assert_equal "$(on 1 docker service ls --quiet --filter label=avril.service=phoenix | wc -l)" 1
}

# bats test_tags=long
@test "a node is lost in the middle of a rollout, in any phase: what was in flight on it fails and nothing else; back, it serves nothing of before" {
  local phase cut
  for phase in ${PHASES:-healthy switch}; do
    commit avril "GREETING=lost in $phase" >/dev/null
    loads_start 1 2
    begin "$phase"
    cut_off 3
    cut=$(milliseconds)
    await_end
    connect 3
    run -0 answers 3 20
    assert_output "200 $(greeting_on 1)"
    loads_stop "$cut"
    echo "# $phase: $HOW; failed: $FAILED" >&3
    assert [ -n "$HOW" ]
    assert_equal "$LATE" '1:0 2:0'
    assert_converges
  done
}

# bats test_tags=long
@test "the leader of three managers is lost in the middle of a rollout: the two others go on, and so do their visitors" {
  local phase cut lost other
  for phase in ${PHASES:-healthy switch}; do
    while [ "$(leader)" = 1 ]; do abdicate 1; done
    lost=$(leader) other=$((5 - $(leader)))
    commit avril "GREETING=no leader in $phase" >/dev/null
    loads_start 1 "$other"
    begin "$phase"
    cut_off "$lost"
    cut=$(milliseconds)
    await_end
    run -0 leader
    refute_output "$lost"
    assert_converges
    connect "$lost"
    run -0 answers "$lost" 20
    assert_output "200 $(greeting_on 1)"
    loads_stop "$cut"
    echo "# $phase: $HOW; failed: $FAILED" >&3
    assert_equal "$LATE" "1:0 $other:0"
  done
}

# bats test_tags=long
@test "the leader with the database and the script is cut off in the middle of a rollout: the others serve what was live, and the next run converges" {
  local phase cut
  for phase in ${PHASES:-healthy switch}; do
    while [ "$(leader)" != 1 ]; do abdicate "$(leader)"; done
    commit avril "GREETING=alone in $phase" >/dev/null
    loads_start 2 3
    begin "$phase"
    cut_off 1
    cut=$(milliseconds)
    await_end
    connect 1
    until_true is_manager 1
    assert_converges
    loads_stop "$cut"
    echo "# $phase: $HOW; failed: $FAILED" >&3
    assert_equal "$LATE" '2:0 3:0'
  done
}

serves() { [ "$(greeting_on "$1" 2>/dev/null)" = "$2" ]; }

# bats test_tags=long
@test "all lose their power at once: the site comes back by itself, with what was live" {
  local live node since
  live=$(greeting_on 1)
  power off
  run ! from_outside curl -fsS -m 3 http://10.77.0.11/version
  power on
  since=$SECONDS
  for node in 1 2 3; do until_true serves "$node" "$live"; done
  echo "# served by all $((SECONDS - since)) s after the engines were up" >&3
  run -0 node_script status
  assert_converges
}

# bats test_tags=long
@test "a node is taken out without a lost request, and comes in again" {
  loads_start 1 2
  run -0 node_script setup --drain node2
  loads_stop
  assert_equal "$FAILED" '1:0 2:0'
  run -0 from_outside curl -sS http://10.77.0.12/healthcheck
  assert_output 'being taken out'
  refute_regex "$(places)" node2
  run -0 node_script setup --undrain node2
  run -0 from_outside curl -s --retry 8 --retry-all-errors --fail http://10.77.0.12/healthcheck
  assert_output ok
}

# bats test_tags=long
@test "a machine leaves, and is none of them any more" {
  run -0 node_script setup --leave node3
  run -0 on 1 docker node ls --format '{{.Hostname}}'
  refute_output --partial node3
  run -0 on 3 docker info --format '{{.Swarm.LocalNodeState}}'
  assert_output inactive
  run on 3 ls /etc/docker/certs.d/10.77.0.11:5000
  assert_failure
}

# The scripts on another node, as somebody would clone them there, with the .env of the site.
clone_to() {
  local there=$CLUSTER/$1/home/play/avril-scripts
  mkdir -p "$there"
  tar -C "$SITE" --exclude=./nginx --exclude=./.state --exclude=./db --exclude=./swarm/certificates \
    --exclude=./docker-compose.releases.yml -cf - . |
    tar -C "$there" -xf -
  grep -q '^DEPLOY_PATH=' "$SITE/.env" || printf 'DEPLOY_PATH=%s\n' "$SITE" >>"$SITE/.env"
  cp "$SITE/.env" "$there/.env"
}

# bats test_tags=long
@test "on another node each command does its work on the db node, and setup.ts says where that is" {
  clone_to 2
  run -0 there 2 node scripts/status.js
  assert_output --partial 'the db node of this Swarm is 10.77.0.11: this runs there'
  assert_output --regexp 'node1 .*database'
  run -0 there 2 node scripts/deploy_local.js --observe 0 --probation 0 avril
  assert_output --partial 'avril is live at'
  run -0 there 2 node scripts/psql.js -- -qAtc 'select 6 * 7'
  assert_output --partial 42
  run -0 there 2 node scripts/logs.js --no-follow --tail 3 phoenix
  run -0 there 2 node scripts/maintenance.js
  run -0 there 2 node scripts/deploy_all.js --observe 0
  run -64 there 2 node scripts/setup.js --undrain node1
  assert_output --partial 'run it there: --on root@10.77.0.11'
  # Without the scripts it is another machine, which knows the db node.
  mv "$CLUSTER/2/home/play/avril-scripts/scripts" "$CLUSTER/2/home/play/avril-scripts/away"
  run -69 node_script status --on node2
  assert_output --partial 'its db node, 10.77.0.11: --on root@10.77.0.11'
  mv "$CLUSTER/2/home/play/avril-scripts/away" "$CLUSTER/2/home/play/avril-scripts/scripts"
}

# images_on NODE: how many images of phoenix it has from the registry
images_on() {
  on "$1" docker image ls --digests --format '{{.ID}}' 10.77.0.11:5000/avril-test-cluster-phoenix | sort -u | wc -l
}
in_registry() {
  there 1 docker compose exec -T registry sh \
    -c 'ls /var/lib/registry/docker/registry/v2/repositories/avril-test-cluster-phoenix/_manifests/tags' | wc -l
}

# bats test_tags=long
@test "old releases leave the registry and all nodes, and those that are kept can be gone back to" {
  local round
  for round in 1 2 3; do
    commit avril "GREETING=round$round" >/dev/null
    run -0 node_deploy --keep 2 avril
  done
  assert_equal "$(in_registry) $(images_on 1) $(images_on 2)" '2 2 2'
  run -0 node_script deploy_local --observe 0 --probation 0 --rollback avril
  run -0 from_outside curl -fsS http://10.77.0.12/version
  assert_output --partial round2
}

drops_vxlan() { [[ $(on "$1" iptables -S DOCKER-USER) == *'--dport 4789 -j DROP'* ]]; }

# bats test_tags=long
@test "the check looks at packets, ports, the registry and its certificates, and at what nginx has of before" {
  local proxy=$CLUSTER/2/home/play/avril-scripts/nginx/proxy.conf
  for node in 1 2; do until_true drops_vxlan "$node"; done
  run node_script setup --check
  refute_output --regexp 'node2 (sends|and the registry|does not reach)|of before|registry is published'
  cp "$proxy" "$CLUSTER/2/kept.conf"
  echo '# other' >>"$proxy"
  set_env DRAIN_SECONDS=11
  ip -n avril-node2 link set eth0 mtu 1400
  mv "$CLUSTER/2/docker/certs.d/10.77.0.11:5000/client.cert" "$CLUSTER/2/docker/kept"
  run node_script setup --check
  ip -n avril-node2 link set eth0 mtu 1500
  mv "$CLUSTER/2/docker/kept" "$CLUSTER/2/docker/certs.d/10.77.0.11:5000/client.cert"
  mv "$CLUSTER/2/kept.conf" "$proxy"
  set_env DRAIN_SECONDS=10
  assert_output --partial 'node2 sends at most 1400 bytes'
  assert_output --partial "node2 and the registry do not take each other's certificate"
  assert_output --partial \
    'nginx of node2 has something of before: files in nginx/, or those that .env names, DRAIN_SECONDS'
}

# gap_of NODE: the seconds from its first failed request to its last one
gap_of() {
  node -p 'const at = JSON.parse(require("fs").readFileSync(process.argv[1])).rows.filter(it => !it.ok).map(it => it.at); at.length === 0 ? 0 : Math.ceil((Math.max(...at) - Math.min(...at)) / 1000)' \
    "$BATS_TEST_TMPDIR/load$1.json"
}

# bats test_tags=long
@test "several servers become one again: killed half-way it goes on, and nothing fails but while nginx is started again" {
  loads_start 1
  local phase
  # While visitors are sent elsewhere, and in the middle of a rollout.
  for phase in node2 healthy; do
    : >"$BATS_TEST_TMPDIR/killed"
    # shellcheck disable=SC2016 # for that shell, which becomes the script
    there 1 sh -c 'echo "$$" >"$0"; exec node scripts/setup.js --one-server' \
      "$BATS_TEST_TMPDIR/pid" >"$BATS_TEST_TMPDIR/killed" 2>&1 &
    await_line "$BATS_TEST_TMPDIR/killed" "^→ $phase"
    kill -9 "$(cat "$BATS_TEST_TMPDIR/pid")"
    wait "$!" || true
  done
  run -0 node_script setup --one-server
  assert_output --partial 'this site has one server'
  # Names are found, also after the networks of the Swarm are gone.
  run -0 from_outside curl -fsS http://10.77.0.11/version
  loads_stop
  assert [ "$(gap_of 1)" -le 15 ]
  run -0 on 2 docker info --format '{{.Swarm.LocalNodeState}}'
  assert_output inactive
  run ! grep -qE '^SWARM=|docker-compose.swarm' "$SITE/.env"
  run -0 on 1 docker network ls --format '{{.Name}}'
  refute_output --partial _swarm
  run -0 there 1 docker compose --dry-run up --detach
  refute_output --regexp 'Recreate|Creating|Stopping'
  run -0 node_deploy avril
  run -0 node_script setup --one-server
}

has_no_leader() { ! on 1 docker node ls >/dev/null 2>&1; }

# bats test_tags=long
@test "all other managers are lost for good: the one with the database goes on alone, as the guide says" {
  [[ $(on 1 docker node ls --format '{{.Hostname}}' 2>/dev/null) == *node2* ]] || {
    run -0 node_script setup --swarm 10.77.0.11
    run -0 node_script setup --join node2 --manager
  }
  run -0 node_deploy avril
  loads_start 1
  local since node
  for node in 2 3; do cut_off "$node"; done
  until_true has_no_leader
  run -0 there 1 docker swarm init --force-new-cluster --advertise-addr 10.77.0.11
  run -0 there 1 docker compose restart
  since=$(milliseconds)
  for node in $(on 1 docker node ls --filter role=worker --format '{{.Hostname}}') \
    $(on 1 docker node ls --filter role=manager --format '{{.Hostname}}'); do
    [ "$node" = node1 ] || run -0 node_script setup --leave "$node"
  done
  run -0 node_deploy avril
  loads_stop "$since"
  echo "# failed: $FAILED" >&3
  assert_equal "$LATE" '1:0'
  assert_equal "$(places | tr ' ' '\n' | sort -u)" node1
}

brings_certificate() { node_script setup --renew >/dev/null && [ "$(serial_on 2)" = "$(serial_on 1)" ]; }

# bats test_tags=long
@test "a certificate of a real authority, which asks another node than the one with the scripts: each nginx serves it, also one that was away" {
  local before
  connect 2
  [[ $(on 1 docker node ls --format '{{.Hostname}}' 2>/dev/null) == *node2* ]] || {
    on 2 docker swarm leave --force || true
    run -0 node_script setup --swarm 10.77.0.11
    run -0 node_script setup --join node2
  }
  cp "$SITE/.env" "$CLUSTER/env"
  acme_beside
  export PATH=$ACME_BIN:$PATH
  set_env WHOST=avril.test POSTGRES_PASSWORD=a-secret AWS_SECRET_ACCESS_KEY=a-secret SECRET_KEY_BASE=a-secret
  printf 'ACME_DIRECTORY=https://%s:14000/dir\n' "$AUTHORITY" >>"$SITE/.env"
  run -0 there 1 docker compose up --detach --wait --no-deps nginx
  run -0 node_script setup --join node2
  resolves avril.test 10.77.0.12
  run -0 node_script setup --certificate admin@avril.test
  assert_equal "$(serial_on 2)" "$(serial_on 1)"
  before=$(serial_on 1)
  asks_for_renewal
  run -0 node_script setup --renew
  assert_equal "$(serial_on 2)" "$(serial_on 1)"
  assert [ "$(serial_on 1)" != "$before" ]
  cut_off 2
  resolves avril.test 10.77.0.11
  asks_for_renewal
  run -0 node_script setup --renew
  assert_output --partial 'nginx of node2 serves the certificate of before'
  connect 2
  until_true brings_certificate
}

# bats test_tags=long
@test "the node with the database burns down: by the guide another one becomes the site, with all rows, and the third joins it" {
  local node home since
  home=$(home_of 2)
  for node in 2 3; do connect "$node"; done
  load_images 2
  # The site of before it got a certificate
  [ ! -e "$CLUSTER/env" ] || cp "$CLUSTER/env" "$SITE/.env"
  there 1 docker compose exec -T postgres psql -qU avril -d avril \
    -c 'create table letters as select generate_series(1, 1000) as n'
  run -0 node_script backup
  # What is also elsewhere: the scripts and .env, the backups, the repositories of the apps.
  clone_to 2
  cp -a "$PLAY"/backups "$PLAY"/origin "$PLAY"/avril "$PLAY"/avril-profil "$PLAY"/avril-livret1 "$home"
  burn 1
  since=$SECONDS
  for node in 2 3; do
    on "$node" sh -c "docker ps --all --quiet --filter label=com.docker.compose.project=$STACK | xargs -r docker rm --force; docker swarm leave --force; rm -f /etc/cron.d/$STACK-node"
  done
  run -0 there 2 node scripts/setup.js --recover --yes
  run -0 from_outside curl -fsS http://10.77.0.12/version
  echo "# the site is back on one server after $((SECONDS - since)) s" >&3
  export FIRST=2
  run -0 there 2 docker compose exec -T postgres psql -XqAtU avril -d avril -c 'select count(*), max(n) from letters'
  assert_output '1000|1000'
  run -0 node_deploy avril
  run -0 node_script setup --swarm 10.77.0.12
  run -0 node_script setup --join node3
  run -0 node_deploy avril
  for node in 2 3; do until_true serves "$node" "$(greeting_on 2)"; done
  echo "# and on two after $((SECONDS - since)) s" >&3
  run -0 node_script status
}
