# A whole site for a bats file: its own stack on the real engine, in a folder with a space in its name, and a load on
# it.
# shellcheck shell=bash
# bats sets these in `run`.
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHECKOUT=$(cd "$HERE/.." && pwd)

load "$CHECKOUT/node_modules/bats-support/load.bash"
load "$CHECKOUT/node_modules/bats-assert/load.bash"

# site_make NAME PORT: a stack that is not started, and nothing of an earlier one of the name, which a killed run has
# left. Sets PLAY, SITE (the folder of the scripts), STACK and URL.
site_make() {
  local label=label=com.docker.compose.project=$1
  export PLAY="$BATS_FILE_TMPDIR/a site" STACK=$1 URL=http://127.0.0.1:$2
  export SITE=$PLAY/avril-scripts
  docker ps --all --quiet --filter "$label" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  {
    docker volume ls --quiet --filter "$label"
    printf '%s\n' "${1}_postgres" "${1}_minio"
  } | xargs docker volume rm --force >/dev/null
  STACK_NAME=$1 STACK_PORT=$2 "$HERE/stack.sh" "$PLAY"
  quick_recipes
  node "$HERE/helpers/compile.mjs" "$SITE" 3>&-
}

# A probe costs the engine more than what it asks, and several stacks stand here at a time: once one has been good since
# the container's start, each waits for a quarter of a minute. What it asks, and how soon a start counts as healthy or
# not, stay as they are.
quiet_probes() {
  local file=$SITE/docker-compose.yml wait='[ ! -e /dev/shm/well ] || sleep 11;' mark='touch /dev/shm/well'
  sed -i -E \
    -e "s#\[ -z .* \] \|\| sleep 4;#$wait &#; s#sleep 0.1; done;#& $mark;#; s#timeout: (3|8|10)s#timeout: 60s#" \
    -e "s#test: \[CMD, (.*)\]\$#test: '$wait \1 \&\& $mark'#; /--fail-early/s/[\",]//g" \
    -e "s#(select 1')\$#\1 \&\& $mark#; s#(health/cluster)'#\1 \&\& $mark'#" "$file"
  [ "$(grep -cF "$wait" "$file") $(grep -c "[;&] $mark" "$file")" = '7 6' ]
}

# The apps are built in fewer steps, or as on a server.
quick_recipes() { cp "$HERE"/fixtures/recipes/* "$SITE/recipes/"; }
real_recipes() { cp "$CHECKOUT"/recipes/* "$SITE/recipes/"; }

# site_up NAME PORT [NAME=VALUE …]: makes and starts a stack; settings are changed in its .env.
site_up() {
  site_make "$1" "$2"
  quiet_probes
  if [ -n "${REAL_RECIPES:-}" ]; then real_recipes; fi
  shift 2
  set_env POST_RATE=10000 DRAIN_SECONDS=10 "$@"
  compose up --detach --wait --quiet-pull 2>&1
}

site_down() {
  compose down --volumes --remove-orphans --timeout 2 2>&1
  docker image ls --quiet --filter "reference=$STACK-*" | sort -u |
    xargs --no-run-if-empty docker image rm --force >/dev/null
}

# set_env NAME=VALUE …: changes settings in the site's .env
set_env() {
  local setting
  for setting in "$@"; do sed -i "s|^${setting%%=*}=.*|$setting|" "$SITE/.env"; done
}

# optional NAME=VALUE: sets one of the settings that .env may lack
optional() {
  sed -i "/^${1%%=*}=/d" "$SITE/.env"
  printf '%s\n' "$1" >>"$SITE/.env"
}

compose() { (cd "$SITE" && docker compose "$@" 3>&-); }

# exec_script NAME …: becomes a script, for use with &: so that $! is the script itself, not a shell or the wrapper of
# the tsx command. It runs what compile.mjs made of it.
exec_script() {
  local name=$1
  shift
  exec node "$SITE/scripts/$name.js" "$@" 3>&-
}

script() { (exec_script "$@"); }

# restore_until PATTERN [options]: starts a restore in the background, as RESTORE, and waits for a line that begins so
restore_until() {
  local pattern=$1
  shift
  : >"$BATS_TEST_TMPDIR/err"
  exec_script backup_restore --yes "$@" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  # shellcheck disable=SC2034 # for the test that loads this
  RESTORE=$!
  await_line "$BATS_TEST_TMPDIR/err" "^$pattern"
}

# Nobody is observed, or each would take half a minute; observe.bats is about that.
deploy() { script deploy_local --observe 0 "$@"; }

# commit REPO KEY=VALUE …: new behaviour in the remote of a fixture repository; prints the commit
commit() { "$HERE/fixtures/commit.sh" "$PLAY" "$@" 3>&-; }

# What an app says of itself: greeting avril-profil
greeting() {
  local path
  case $1 in avril) path= ;; avril-profil) path=/mon-espace ;; avril-livret1) path=/ma-candidature-vae ;; esac
  curl -fsS "$URL$path/version" | node -p 'JSON.parse(require("fs").readFileSync(0)).greeting'
}

instances() {
  docker ps --all --filter "label=com.docker.compose.project=$STACK" --filter "label=com.docker.compose.service=$1" \
    --format '{{.Names}} {{.Status}}'
}

last_deploy() { tail -n 1 "$SITE/.state/history.jsonl" | node -p "JSON.parse(require('fs').readFileSync(0)).$1"; }

# Compose has nothing to do: every container of a service runs what its files say.
assert_compose_agrees() {
  run -0 compose --dry-run up --detach "$1"
  refute_output --partial 'Recreate'
  refute_output --partial 'Creating'
  refute_output --partial 'Stopping'
}

# Nothing is left of a deploy: one healthy instance (or as many as given), no journal, no candidate file, a free lock.
assert_in_order() {
  local service=$1 count=${2:-1}
  run -0 instances "$service"
  assert_equal "${#lines[@]}" "$count"
  local line
  for line in "${lines[@]}"; do assert_regex "$line" '\(healthy\)'; done
  assert [ ! -e "$SITE/.state/rollout.json" ]
  assert [ ! -e "$SITE/.state/next.yml" ]
  run -0 flock --nonblock "$SITE/.state/lock" true
  assert_compose_agrees "$service"
}

# await_line FILE PATTERN: waits until a line of a file that is being written matches; 180 s at most, which a busy
# machine takes for some. What is written to it in the background must begin with an empty file: what was there before
# would match. In a shell of its own: $! stays what it is.
await_line() (
  # Whoever writes to it in the background may not have made it yet.
  : >>"$1"
  status=0
  exec {lines}< <(exec tail --lines=+1 --follow --sleep-interval=0.1 -- "$1" 3>&-)
  follower=$!
  timeout 180 grep --quiet --max-count=1 --extended-regexp -- "$2" <&"$lines" || status=$?
  kill "$follower" 2>/dev/null || true
  exec {lines}<&-
  [ "$status" -eq 0 ] || { printf 'no line like %s in:\n' "$2"; cat "$1"; exit 1; }
)

# load_start [options of load.ts]: requests at a constant rate until load_stop
load_start() {
  LOAD=$BATS_TEST_TMPDIR/${LOAD_NAME:-load}
  [ -p "$LOAD.in" ] || mkfifo "$LOAD.in"
  node "$SITE/test/load/load.js" --url "$URL" --until-stdin-closes --json "$LOAD.json" \
    --drain "$(sed -n 's/^DRAIN_SECONDS=//p' "$SITE/.env")" "$@" \
    <"$LOAD.in" >"$LOAD.out" 2>"$LOAD.err" 3>&- &
  LOAD_PID=$!
  exec {LOAD_FD}>"$LOAD.in"
  await_line "$LOAD.err" ' sent '
}

# Ends the load; its status is that of the load: not 0 when one request failed, or when fewer were sent than planned.
load_stop() {
  local pid=$LOAD_PID
  LOAD_PID=
  exec {LOAD_FD}>&-
  wait "$pid"
}

# Requests wait in nginx longer than 30 s: a busy machine takes so long for what takes seconds on a quiet one.
have_patience() {
  sed -i 's/^const LONGEST = .*/const LONGEST = 300000/' "$SITE/nginx/pause.js"
  docker exec "$STACK-nginx-1" /etc/nginx/avril/reload.sh
}

# For teardown: a test that failed half-way must not leave its load to the next.
load_abandon() {
  if [ -n "${LOAD_PID:-}" ]; then kill "$LOAD_PID" 2>/dev/null || true; fi
}

# No request failed, and as many were sent as planned. What failed is shown.
assert_no_request_lost() {
  local status=0
  load_stop || status=$?
  cat "$LOAD.out"
  assert_equal "$(node -p "JSON.parse(require('fs').readFileSync('$LOAD.json')).failed")" 0
  assert_equal "$status" 0
}

# cron_start: the machine's cron, until cron_stop. There is one at a time: another test that needs it waits. Sets
# CRON_PID.
cron_start() {
  exec {CRON_LOCK}>"${TMPDIR:-/tmp}/avril-test-cron.lock"
  flock "$CRON_LOCK"
  env -i /usr/sbin/cron -f 3>&- {CRON_LOCK}>&- &
  CRON_PID=$!
}

cron_stop() {
  [ -n "${CRON_PID:-}" ] || return 0
  kill "$CRON_PID" 2>/dev/null || true
  wait "$CRON_PID" 2>/dev/null || true
  CRON_PID=
  exec {CRON_LOCK}>&-
}

# await_exit PID EXPECTED: waits for a background process of this shell (`run wait` would look for it in a subshell); 15
# minutes at most, in which a server is set up.
await_exit() {
  local status=0
  timeout 900 tail --pid="$1" --follow /dev/null || { kill -9 "$1"; echo "process $1 did not end"; return 1; }
  wait "$1" || status=$?
  assert_equal "$status" "$2"
}

# until_phase PHASE [options]: starts a deploy of avril-profil in the background, as DEPLOY, and waits until it enters
# the phase
until_phase() {
  local phase=$1
  shift
  : >"$BATS_TEST_TMPDIR/err"
  exec_script deploy_local --observe 0 --probation 0 "$@" \
    avril-profil >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  # shellcheck disable=SC2034 # for the test
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" "^→ $phase"
}
