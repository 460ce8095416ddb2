#!/usr/bin/env bats
# Deploys that fail, under load: the site answers throughout and is as it was, and the next deploy works.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  site_up avril-test-failures 18220 DRAIN_SECONDS=30
  deploy --probation 0 avril-profil
  deploy --probation 0 avril
}
teardown_file() { site_down; }

setup() { load_start --base /mon-espace --rate 60 --websocket 0 --slow 1; }

teardown() {
  sed -i '/^nonsense;$/d' "$SITE/nginx/policies.conf"
  umount "$SITE/.state" "$SITE/nginx/live" 2>/dev/null || true
  load_abandon
}

# assert_fails PHASE MESSAGE [OPTION…]: the deploy fails in a phase, and the site is as it was.
assert_fails() {
  local phase=$1 before message=$2
  before=$(greeting avril-profil)
  run --separate-stderr -1 deploy "${@:3}" avril-profil
  assert_output ''
  assert_regex "$stderr" "error: avril-profil was not deployed, phase $phase: $message"
  assert_regex "$stderr" 'hint: the site is as it was'
  assert_equal "$(greeting avril-profil)" "$before"
  assert_equal "$(last_deploy result)" failed
  assert_equal "$(last_deploy phase)" "$phase"
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "a build that fails" {
  commit avril-profil BUILD=fail >/dev/null
  assert_fails build 'the build failed'
}

@test "a migration that fails" {
  commit avril MIGRATION=fail >/dev/null
  run --separate-stderr -1 deploy avril
  assert_regex "$stderr" 'phase migrate: the migration failed.*MIGRATION=fail'
  assert_in_order phoenix
  assert_no_request_lost
  commit avril GREETING=mended >/dev/null
}

@test "an image that never gets healthy: its log and what its health check said are shown" {
  commit avril-profil HEALTH=fail LOG='no-database-in-sight' >/dev/null
  assert_fails healthy '.*was not healthy after 6 s.*no-database-in-sight.*its health check said: .*HEALTH in fixture.env' --timeout 6
}

@test "a release whose health check is good and whose page is an error never gets a request" {
  commit avril-profil PAGE=fail >/dev/null
  assert_fails healthy '.*is healthy, but /mon-espace/ is answered with 500, not with a page.*the last lines of its log'
}

# bats test_tags=long
@test "nor does one whose page leads only to itself; one that leads to another page is good" {
  commit avril-profil PAGE=redirect >/dev/null
  assert_fails healthy '.*is healthy, but /mon-espace/ is answered with 301 .to https://site.test/mon-espace/., not with a page'
  commit avril-profil PAGE=login >/dev/null
  run -0 deploy --probation 0 avril-profil
  commit avril-profil >/dev/null
  run -0 deploy --probation 0 avril-profil
}

# bats test_tags=long
@test "what the label avril.smoke lists is asked too: the path, its status and the words in the body" {
  commit avril-profil GREETING=smoke >/dev/null
  sed -i 's|^      avril.path: /mon-espace/$|&\n      avril.smoke: \|\n        /mon-espace/ 200 smoke\n        /mon-espace/nothing 404|' "$SITE/docker-compose.yml"
  run -0 deploy --probation 0 avril-profil
  commit avril-profil GREETING=other >/dev/null
  assert_fails healthy '.*is healthy, but /mon-espace/ is answered without "smoke"'
  sed -i '/^      avril.smoke:/,/nothing 404/d' "$SITE/docker-compose.yml"
  commit avril-profil >/dev/null
  run -0 deploy --probation 0 avril-profil
}

@test "an instance that exits before it is healthy fails the deploy at once" {
  commit avril-profil READY_AFTER=30 EXIT_AFTER=1 >/dev/null
  assert_fails healthy '.*ended with exit code 1'
}

@test "an instance that gets healthy and dies after five seconds never gets a request" {
  commit avril-profil EXIT_AFTER=5 >/dev/null
  assert_fails healthy '.*ended with exit code 1'
}

@test "an instance that dies when it has requests already: they go back to the old one at once" {
  load_stop || true
  commit avril-profil GREETING=dying >/dev/null
  local before
  before=$(greeting avril-profil)
  until_phase healthy
  # Something slow in flight keeps the old instance.
  curl -fsS "$URL/mon-espace/slow?s=20" >"$BATS_TEST_TMPDIR/slow" 3>&- &
  local slow=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ drain'
  docker kill "$(docker ps --latest --quiet --filter "name=$STACK-nuxt_profile")" 3>&-
  await_exit "$DEPLOY" 1
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'phase drain: .*ended with exit code 137.*the site is as it was'
  assert_equal "$(greeting avril-profil)" "$before"
  assert_in_order nuxt_profile
  await_exit "$slow" 0
}

@test "an nginx configuration that does not pass nginx -t: refused before the build, nginx goes on" {
  commit avril-profil GREETING=nginx >/dev/null
  echo 'nonsense;' >>"$SITE/nginx/policies.conf"
  run --separate-stderr -1 deploy avril-profil
  assert_regex "$stderr" 'does not pass its check \(nginx -t\)'
  refute_regex "$stderr" 'build'
  sed -i '/^nonsense;$/d' "$SITE/nginx/policies.conf"
  assert_in_order nuxt_profile
  assert_no_request_lost
}

# bats test_tags=long
@test "an nginx that a former version of the scripts has started is taken over by the next deploy, which loses nothing" {
  local nginx=$SITE/nginx
  load_stop
  cp -a "$nginx" "$BATS_TEST_TMPDIR/nginx"
  "$HERE/helpers/former_nginx.sh" "$nginx"
  compose restart nginx
  timeout 30 bash -c "until curl -fsS -o /dev/null '$URL/mon-espace/version'; do sleep 0.1; done"
  run ! docker exec "$STACK-nginx-1" curl -fsS http://127.0.0.1:8081/nginx/live/phoenix
  # git pull
  cp "$BATS_TEST_TMPDIR/nginx/"{live,nginx}.conf "$nginx/"
  cp "$BATS_TEST_TMPDIR/nginx/start/10-settings.sh" "$nginx/start/"
  setup
  commit avril-profil GREETING=updated >/dev/null
  run --separate-stderr -0 deploy --probation 0 avril-profil
  assert_regex "$stderr" 'nginx takes up the configuration of these scripts'
  assert_equal "$(greeting avril-profil)" updated
  run -0 ls "$nginx/live"
  assert_output $'nuxt_profile.json\nphoenix.json'
  run --separate-stderr -0 deploy --probation 0 avril-profil
  refute_regex "$stderr" 'takes up'
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "an nginx configuration that is broken during the deploy: the switch does not read it" {
  commit avril-profil READY_AFTER=2 GREETING=unread >/dev/null
  until_phase healthy
  echo 'nonsense;' >>"$SITE/nginx/policies.conf"
  await_exit "$DEPLOY" 0
  sed -i '/^nonsense;$/d' "$SITE/nginx/policies.conf"
  assert_equal "$(greeting avril-profil)" unread
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "a disk that is full: refused before anything is touched, and a deploy later works" {
  commit avril-profil GREETING=after-full-disk >/dev/null
  cp -a "$SITE/.state" "$BATS_TEST_TMPDIR/state"
  mount -t tmpfs -o size=64k,mode=700 tmpfs "$SITE/.state"
  cp -a "$BATS_TEST_TMPDIR/state/." "$SITE/.state/" || true
  dd if=/dev/zero of="$SITE/.state/filler" bs=1k 2>/dev/null || true
  run --separate-stderr -74 deploy avril-profil
  umount "$SITE/.state"
  assert_regex "$stderr" 'error: .*(cannot be written|No space left|ENOSPC).*hint: the disk is full'
  refute_regex "$stderr" 'bug in the scripts'
  assert_in_order nuxt_profile
  run -0 deploy --probation 0 avril-profil
  assert_equal "$(greeting avril-profil)" after-full-disk
  assert_no_request_lost
}

# bats test_tags=long
@test "a disk that fills up before the switch: the site stays as it was" {
  commit avril-profil READY_AFTER=2 GREETING=full-at-switch >/dev/null
  local before
  before=$(greeting avril-profil)
  until_phase healthy
  mount -t tmpfs -o size=4k,ro tmpfs "$SITE/nginx/live"
  wait "$DEPLOY" || true
  umount "$SITE/nginx/live"
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'cannot be written'
  assert_equal "$(greeting avril-profil)" "$before"
  run -0 deploy --probation 0 avril-profil
  assert_equal "$(greeting avril-profil)" full-at-switch
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "damaged files in .state are named, and neither status nor a deploy fails for them" {
  local file
  for file in rollout.json data.json; do printf '{"who":"an' >"$SITE/.state/$file"; done
  # A line that a power failure has cut.
  printf '{"time":"2026-11-2' >>"$SITE/.state/history.jsonl"
  run --separate-stderr -0 script status
  for file in rollout.json 'history.jsonl has'; do assert_regex "$stderr" "warning: $SITE/.state/$file.*damaged"; done
  commit avril-profil GREETING=after-damage >/dev/null
  run --separate-stderr -0 deploy --probation 0 avril-profil
  assert_regex "$stderr" "warning: $SITE/.state/rollout.json is damaged"
  assert_equal "$(greeting avril-profil)" after-damage
  assert_equal "$(last_deploy result)" deployed
  rm "$SITE/.state/data.json"
  assert_in_order nuxt_profile
  assert_no_request_lost
}
