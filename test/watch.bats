#!/usr/bin/env bats
# Those who are not looking: who is told of deploys and of what stops, and the hooks before and after what is done.

# bats sets these in `run`.
# shellcheck disable=SC2154
load helpers/site
load helpers/notices

setup_file() { site_up avril-test-watch 18490; }
teardown_file() {
  rm -f "/etc/cron.d/$STACK-watch"
  site_down
}

teardown() {
  if [ -n "${WATCH_PID:-}" ]; then kill "$WATCH_PID" 2>/dev/null || true; fi
  cron_stop
  hear_no_more
  set_env NOTICE_URL=
  rm -rf "$SITE/.state/watch.json" "$SITE/.state/data.json"
  compose up --detach --wait --no-recreate 2>&1
}

# Looks each second, in the background.
watch() {
  exec_script watch --tell --every 1 >"$BATS_TEST_TMPDIR/watch" 2>&1 &
  WATCH_PID=$!
}

@test "a webhook hears of a good deploy and of a bad one: who, what, how long, the requests, the way back; not of one that does nothing" {
  hear
  set_env "NOTICE_URL=$HEARD_URL/hooks/a-secret"
  commit avril-profil GREETING=told >/dev/null
  run -0 deploy --probation 0 avril-profil
  refute_output --partial a-secret
  run -0 deploy --if-change avril-profil
  commit avril-profil HEALTH=fail >/dev/null
  run -1 deploy --timeout 5 avril-profil
  commit avril-profil HEALTH=ok >/dev/null
  run -0 heard
  assert_equal "${#lines[@]}" 2
  assert_regex "${lines[0]}" \
    '^✓ localhost: [^ ]+ deployed avril-profil [0-9a-f]{12}[^ ]* "[^"]+" in [0-9.]+ s; (0 of [0-9,]+ requests? failed|nobody asked for it meanwhile)\. The way back: tsx scripts/deploy_local\.ts --rollback avril-profil$'
  assert_regex "${lines[1]}" \
    '^✗ localhost: the deploy of avril-profil by [^ ]+ failed after [0-9.]+ s; .*was not deployed, phase healthy: .*the site is as it was; .*\(tsx scripts/deploy_local\.ts avril-profil\)$'
}

@test "postgres is stopped: told once, by a webhook that was away at first, and once when it is well again" {
  hear
  set_env "NOTICE_URL=$HEARD_URL/hooks/a-secret"
  hear_no_more
  watch
  compose stop postgres 2>/dev/null
  await_line "$BATS_TEST_TMPDIR/watch" 'the webhook \(NOTICE_URL\) could not be reached'
  hear "${HEARD_URL##*:}"
  await_line "$HEARD" 'postgres is not running'
  run -1 script watch
  assert_line --regexp '^✗ postgres is not running \(for .*, told '
  compose start postgres 2>/dev/null
  await_line "$HEARD" 'well again'
  run -0 heard
  assert_line --index 0 --regexp \
    '^✗ localhost: (.*; )?postgres is not running.* \(for .*\)\. On the server: tsx scripts/status\.ts$'
  assert_line --index -1 --regexp '^✓ localhost: well again, after .*: .*postgres is not running'
  assert_equal "$(grep -c 'well again' <<<"$output")" 1
  refute_output --partial '; still: '
  run -0 cat "$BATS_TEST_TMPDIR/watch"
  refute_output --partial a-secret
}

@test "nobody is told of what stops while somebody restores" {
  hear
  set_env "NOTICE_URL=$HEARD_URL/hooks/a-secret"
  printf '{"what":"restoring","who":"anne","pid":%s,"since":"%s","step":"swap"}\n' "$$" \
    "$(date --utc +%FT%T.000Z)" >"$SITE/.state/data.json"
  compose stop nuxt_booklet 2>/dev/null
  run -1 script watch
  assert_line '· nobody is told of that now: anne is restoring'
  watch
  timeout 60 inotifywait --quiet --monitor --event moved_to --include 'watch\.json' "$SITE/.state" 3>&- | head --lines 3
  run -0 heard
  assert_output ''
  rm "$SITE/.state/data.json"
  await_line "$HEARD" 'nuxt_booklet is not running'
}

@test "a real cron begins the watch from the entry that --install-cron wrote, and --remove-cron ends it; not without NOTICE_URL (78)" {
  run -78 script watch --install-cron
  set_env NOTICE_URL=http://127.0.0.1:9/hook
  run -0 script watch --install-cron --remind 2
  run -0 script watch --install-cron --remind 2
  assert_output --partial '(as before)'
  # Each second instead of each minute: the rest of the line is as installed.
  sed -i 's/ --tell / --tell --every 1 /' "/etc/cron.d/$STACK-watch"
  cron_start
  timeout 90 inotifywait --quiet --quiet --event moved_to --include 'watch\.json' "$SITE/.state"
  run -1 flock --nonblock "$SITE/.state/watch.lock" true
  run -0 script watch --remove-cron
  run -0 flock --timeout 30 "$SITE/.state/watch.lock" true
}

@test "hooks: --dry-run shows them in their order; one before a deploy refuses it (77), one after hears of good and bad, --no-hooks leaves them out" {
  hook before-deploy <<<'echo "it is Friday"; exit 1'
  hook after-deploy <<<'exit 1'
  commit avril-livret1 GREETING=hooked >/dev/null
  run -0 deploy --dry-run avril-livret1
  assert_line --index 1 --regexp '^hook     hooks/before-deploy, 60 s at most'
  assert_line --index -1 --regexp '^hook     hooks/after-deploy, 60 s at most'
  run -77 deploy avril-livret1
  assert_line --partial 'refuses the deploy: exit code 1, it is Friday'
  assert_not_equal "$(greeting avril-livret1)" hooked
  assert_equal "$(last_deploy result)" failed
  assert [ ! -e "$BATS_TEST_TMPDIR/after-deploy" ]
  run -0 deploy --no-hooks --probation 0 avril-livret1
  assert_equal "$(greeting avril-livret1)" hooked
  hook before-deploy </dev/null
  commit avril-livret1 HEALTH=fail >/dev/null
  run -1 deploy --timeout 5 avril-livret1
  assert_line --partial 'the hook hooks/after-deploy failed: exit code 1'
  assert_equal "$(got after-deploy result) $(got after-deploy 'apps[0].repository')" 'failed avril-livret1'
  commit avril-livret1 HEALTH=ok GREETING=better >/dev/null
  run -0 deploy --probation 0 avril-livret1
  assert_equal "$(got after-deploy result) $(got before-deploy 'apps[0].revision')" "done $(last_deploy revision)"
  assert_in_order nuxt_booklet
  rm -r "$SITE/hooks"
}

@test "hooks of a backup and a restore: before and after, and a refusal touches nothing (77)" {
  local sets="$BATS_TEST_TMPDIR/sets" folder
  set_env "BACKUP_DIR='$sets'"
  run -0 script psql -c 'create table visits (id int)'
  hook before-backup <<<'exit 1'
  hook after-backup </dev/null
  run -77 script backup --no-files
  assert [ -z "$(ls -A "$sets" 2>/dev/null)" ]
  hook before-backup </dev/null
  run --separate-stderr -0 script backup --no-files
  folder=$output
  assert_equal "$(got after-backup folder)" "$folder"
  hook before-restore <<<'exit 1'
  hook after-restore </dev/null
  run -77 script backup_restore --yes
  assert [ ! -e "$BATS_TEST_TMPDIR/after-restore" ]
  hook before-restore </dev/null
  run -0 script backup_restore --yes
  assert_equal "$(got before-restore kind) $(got after-restore result) $(got after-restore database)" \
    'restore done avril'
  run -0 script backup_restore --yes --undo
  assert_equal "$(got after-restore kind)" undo
  rm -r "$SITE/hooks"
}
