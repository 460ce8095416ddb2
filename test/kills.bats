#!/usr/bin/env bats
# A deploy that is killed in any phase, or stopped by a signal, under load: the site answers throughout, and the next
# run puts all in order.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  site_up avril-test-kills 18240
  deploy --probation 0 avril-profil
}
teardown_file() { site_down; }

setup() { load_start --base /mon-espace --rate 30 --websocket 0 --slow 1; }

teardown() {
  # One whose phase did not come in time would hold the lock in the next test.
  [ -z "${DEPLOY:-}" ] || kill -9 "$DEPLOY" 2>/dev/null || true
  load_abandon
}

# The phase "stop" of the next deploy takes long enough to be hit.
slow_to_stop() {
  commit avril-profil STOP=slow:3 >/dev/null
  run -0 deploy --probation 0 avril-profil
}

# kill_in PHASE SIGNAL STATUS: a deploy is hit by the signal as it enters the phase, and ends with the status
kill_in() {
  until_phase "$1"
  kill -"$2" "$DEPLOY"
  await_exit "$DEPLOY" "$3"
}

for phase in build start healthy switch stop; do
  case $phase in switch) tags= ;; *) tags=long ;; esac
  bats_test_function --tags "$tags" \
    --description "kill -9 in phase $phase: the site answers, and the next deploy puts all in order" -- killed_hard \
    "$phase"
done

killed_hard() {
  if [ "$1" = stop ]; then slow_to_stop; fi
  commit avril-profil READY_AFTER=1 GREETING="killed-in-$1" >/dev/null
  kill_in "$1" KILL 137
  # Before anything else is done the site answers, from the old or the new release.
  run -0 greeting avril-profil
  run -0 --separate-stderr deploy --probation 0 --if-change avril-profil
  assert_regex "$stderr" "was interrupted in phase $1: putting it in order"
  assert_equal "$(greeting avril-profil)" "killed-in-$1"
  assert_in_order nuxt_profile
  assert_no_request_lost
}

# Before the switch a signal takes the deploy back; after it the deploy ends well.
for pair in INT:build TERM:healthy; do
  case $pair in INT:build) tags=long ;; *) tags= ;; esac
  bats_test_function --tags "$tags" --description "${pair%%:*} in phase ${pair##*:}: taken back" -- stopped_before \
    "${pair%%:*}" "${pair##*:}"
done
bats_test_function --description "HUP in phase drain: the deploy is finished" -- stopped_after HUP drain

stopped_before() {
  commit avril-profil BUILD=slow:2 READY_AFTER=3 GREETING="stopped-by-$1-in-$2" >/dev/null
  local before code
  before=$(greeting avril-profil)
  code=$((128 + $(kill -l "$1")))
  kill_in "$2" "$1" "$code"
  run -0 cat "$BATS_TEST_TMPDIR/err"
  assert_output --regexp "error: avril-profil was not deployed, phase $2: stopped by "
  assert_output --partial 'the site is as it was'
  assert_equal "$(greeting avril-profil)" "$before"
  assert_in_order nuxt_profile
  assert_no_request_lost
}

stopped_after() {
  commit avril-profil GREETING="finished-after-$1" >/dev/null
  kill_in "$2" "$1" 0
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'please wait, this step is being finished.*is live at'
  assert_equal "$(greeting avril-profil)" "finished-after-$1"
  assert_in_order nuxt_profile
  assert_no_request_lost
}

# bats test_tags=long
@test "a deploy that is killed before its switch, the recovery, and a rollout of another app cut no websocket" {
  local socket before=$BATS_TEST_TMPDIR/before
  commit avril GREETING=before >"$before"
  run -0 deploy --probation 0 avril
  node "$SITE/test/helpers/websocket_client.js" "${URL/http/ws}/socket/websocket" 30000 \
    hello >"$BATS_TEST_TMPDIR/socket" 3>&- &
  socket=$!
  commit avril READY_AFTER=3 GREETING=never >/dev/null
  exec_script deploy_local --observe 0 --probation 0 avril 2>"$BATS_TEST_TMPDIR/err" &
  await_line "$BATS_TEST_TMPDIR/err" '^→ healthy'
  kill -9 $!
  run -0 deploy --if-change --to "$(<"$before")" avril
  assert_output --partial 'is taken back: the site is as it was'
  assert_output --partial 'nothing to do'
  commit avril-profil GREETING=beside >/dev/null
  run -0 deploy --probation 0 avril-profil
  await_exit "$socket" 0
  assert_equal "$(cat "$BATS_TEST_TMPDIR/socket")" 'hello open'
  assert_in_order phoenix
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "kill -9 in drain with a slow request on the old instance: the next run still waits for it" {
  commit avril-profil GREETING=slow-before >/dev/null
  run -0 deploy --probation 0 avril-profil
  commit avril-profil GREETING=slow-after >/dev/null
  until_phase healthy
  curl -sS -m 60 -w '\n%{http_code}' "$URL/mon-espace/slow?s=9" >"$BATS_TEST_TMPDIR/slow" 3>&- &
  local slow=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ drain'
  kill -9 "$DEPLOY"
  run -0 deploy --probation 0 --if-change avril-profil
  assert_output --partial 'is completed'
  await_exit "$slow" 0
  run -0 cat "$BATS_TEST_TMPDIR/slow"
  assert_line 200
  assert_output --partial slow-before
  assert_no_request_lost
}

# bats test_tags=long
@test "kill -9 while several replicas are replaced: the next deploy goes on where it stopped" {
  set_env PROFILE_REPLICAS=2
  run -0 deploy --probation 0 avril-profil
  commit avril-profil GREETING=half-way >/dev/null
  exec_script deploy_local --observe 0 --probation 0 avril-profil 2>"$BATS_TEST_TMPDIR/err" &
  await_line "$BATS_TEST_TMPDIR/err" '^✓ stop'
  kill -9 $!
  run -0 deploy --probation 0 --if-change avril-profil
  assert_output --partial 'is completed'
  assert_equal "$(greeting avril-profil)" half-way
  assert_in_order nuxt_profile 2
  set_env PROFILE_REPLICAS=1
  run -0 deploy --probation 0 avril-profil
  assert_no_request_lost
}

@test "a reboot in the middle of a deploy: all containers come back, and nginx sends nothing to the new one" {
  load_stop || true
  commit avril-profil READY_AFTER=10 GREETING=reboot >/dev/null
  local before
  before=$(greeting avril-profil)
  until_phase healthy
  kill -9 "$DEPLOY"
  # What an engine does at boot: everything is started again, in any order, with new addresses.
  docker ps --quiet --filter "label=com.docker.compose.project=$STACK" | xargs docker restart --time 1 >/dev/null
  local end=$((SECONDS + 120))
  until curl -fsS -o /dev/null "$URL/mon-espace/version"; do
    [ "$SECONDS" -lt "$end" ]
    inotifywait -qq -t 1 "$BATS_TEST_TMPDIR" || true
  done
  local _
  for _ in $(seq 10); do assert_equal "$(greeting avril-profil)" "$before"; done
  run -0 deploy --probation 0 avril-profil
  assert_equal "$(greeting avril-profil)" reboot
  assert_in_order nuxt_profile
}
