#!/usr/bin/env bats
# A new release with visitors: what they get is compared, and it goes when it is worse.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  site_up avril-test-observe 18260
  deploy --probation 0 avril-profil
}
teardown_file() { site_down; }

setup() { load_start --base /mon-espace --rate 250 --websocket 0; }
teardown() { load_abandon; }

# observed [OPTION…]: deploys avril-profil and observes it
observed() { script deploy_local --probation 0 "$@" avril-profil; }

# Ends the load; FAILED is how many requests it has lost. Its own status does not matter.
count_failed() {
  load_stop || true
  FAILED=$(node -p "JSON.parse(require('fs').readFileSync('$LOAD.json')).failed")
}

@test "a release that is bad for everybody from the first request is gone within five seconds and fifty answers" {
  local before
  before=$(greeting avril-profil)
  commit avril-profil FAIL=all >/dev/null
  run --separate-stderr -1 observed --observe 20
  assert_regex "$stderr" \
    'phase observe: the new release is worse than the one before: [0-9]+ of [0-9]+ requests failed .*; the worst: /mon-espace/(version|slow|echo) 500 \([0-9]+ times\), /mon-espace/'
  assert_regex "$stderr" 'hint: the site is as it was; docker compose logs nginx has each request'
  assert_regex "$stderr" '✗ observe failed after [0-4]\.[0-9] s'
  count_failed
  assert [ "$FAILED" -ge 20 ]
  assert [ "$FAILED" -le 50 ]
  assert_equal "$(greeting avril-profil)" "$before"
  assert_equal "$(last_deploy phase) $(last_deploy "visits.during.failed")" "observe $FAILED"
  assert_in_order nuxt_profile
}

@test "one that fails on one path of ten is found too" {
  commit avril-profil FAIL=/echo >/dev/null
  run --separate-stderr -1 observed --observe 20
  assert_regex "$stderr" 'the new release is worse .*; the worst: /mon-espace/echo 500'
  assert_in_order nuxt_profile
}

@test "a good one stays; how it was is told, and is in the history" {
  commit avril-profil GREETING=observed >/dev/null
  run --separate-stderr -0 observed --observe 6 --canary 50
  assert_regex "$stderr" \
    '→ observe: 50 % of the visitors for 3 s .*→ observe: all visitors for 3 s .*0 of [0-9]+ requests failed'
  assert_equal "$(greeting avril-profil)" observed
  assert_equal "$(last_deploy visits.during.failed)" 0
  assert [ "$(last_deploy visits.before.requests)" -gt 1000 ]
  assert [ "$(last_deploy visits.during.requests)" -gt 1000 ]
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "history.ts shows them: as a table, and as a page with pictures that a browser shows" {
  load_stop
  run -0 script history avril-profil
  assert_line --regexp '^✗ 20..-..-.. ..:..  avril-profil  .*[1-9][0-9]* of [0-9,]+ failed, p99 .* failed in observe: the new release is worse'
  assert_line --regexp '^✓ 20..-..-.. ..:..  avril-profil  .* 0 of [0-9,]+ failed, p99 [0-9.]+ → [0-9.]+ s +deployed '
  run -0 script history --last 2 --json
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).map(it => it.result).join()' "$output")" failed,deployed
  run -64 script history nobody
  run -0 script history --html "$BATS_TEST_TMPDIR/deploys.html" avril-profil
  run -0 node --import tsx "$HERE/helpers/page.ts" "$BATS_TEST_TMPDIR/deploys.html"
  node - "$output" <<'JS'
    const seen = JSON.parse(process.argv[2])
    const { strict: assert } = require('node:assert')
    assert.ok(seen.headings.length >= 3 && seen.bars > 30 && seen.dots > 30, JSON.stringify(seen))
    assert.ok(['switch', 'observe', 'drain'].every(phase => seen.phases.includes(phase)), JSON.stringify(seen.phases))
    assert.deepEqual([seen.errors, seen.requests, seen.outside], [[], 1, 0])
JS
}

# bats test_tags=long
@test "a canary: a visitor stays with one release, by a cookie" {
  local before group
  load_stop
  before=$(greeting avril-profil)
  commit avril-profil GREETING=canary >/dev/null
  until_phase observe --observe 20 --canary 30
  run -0 curl -fsS -D "$BATS_TEST_TMPDIR/head" "$URL/mon-espace/version"
  group=$(sed -n 's/^Set-Cookie: avril_group=\([0-9]*\);.*/\1/p' "$BATS_TEST_TMPDIR/head")
  assert_regex "$group" '^[0-9]{1,2}$'
  for group in 0 29 30 99; do
    run -0 curl -fsS -D "$BATS_TEST_TMPDIR/head" --cookie "avril_group=$group" "$URL/mon-espace/version"
    if [ "$group" -lt 30 ]; then
      assert_output --partial '"greeting":"canary"'
    else
      assert_output --partial "\"greeting\":\"$before\""
    fi
    run -1 grep -i set-cookie "$BATS_TEST_TMPDIR/head"
  done
  # Another app has nothing to do with it.
  run -0 curl -fsS -D - -o /dev/null "$URL/ma-candidature-vae/version"
  refute_output --partial avril_group
  await_exit "$DEPLOY" 0
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" '[0-9]+ requests: too few to tell anything'
  run -0 curl -fsS -D - -o /dev/null "$URL/mon-espace/version"
  refute_output --partial avril_group
  assert_equal "$(greeting avril-profil)" canary
  assert_in_order nuxt_profile
}

@test "a deploy that is killed while a bad release is observed: nginx goes back by itself, and the next deploy puts all in order" {
  local before
  before=$(greeting avril-profil)
  commit avril-profil FAIL=all GREETING=bad >/dev/null
  local since
  since=$(date +%s.%N)
  # It sees that by itself within half a second: nobody asks for anything until it is dead.
  load_stop
  until_phase observe --observe 20
  kill -9 "$DEPLOY"
  setup
  timeout 20 bash -c "until docker logs --since '$since' $STACK-nginx-1 2>&1 | grep -q 'everybody gets the one before again'; do sleep 0.1; done"
  assert_equal "$(greeting avril-profil)" "$before"
  commit avril-profil GREETING=mended >/dev/null
  run --separate-stderr -0 deploy --probation 0 avril-profil
  assert_regex "$stderr" 'was interrupted in phase observe: putting it in order.*is taken back'
  assert_equal "$(greeting avril-profil)" mended
  assert_in_order nuxt_profile
  count_failed
  assert [ "$FAILED" -le 50 ]
}

# bats test_tags=long
@test "Ctrl-C while it is observed goes back; --if-change leaves alone what was taken back" {
  local before
  before=$(greeting avril-profil)
  commit avril-profil GREETING=unwanted >/dev/null
  until_phase observe --observe 60
  kill -INT "$DEPLOY"
  await_exit "$DEPLOY" 130
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" 'phase observe: stopped by Ctrl-C.*the site is as it was'
  assert_equal "$(greeting avril-profil)" "$before"
  assert_in_order nuxt_profile
  assert_no_request_lost
  run --separate-stderr -1 script deploy_all --observe 0
  assert_regex "$stderr" \
    'avril-profil at [0-9a-f]{12} was taken back at .*stopped by Ctrl-C.*hint: to try it once more all the same'
  run -0 deploy --probation 0 avril-profil
}

# bats test_tags=long
@test "a release that does not answer any more is found; so is an nginx that was started again meanwhile" {
  local before
  load_stop
  before=$(greeting avril-profil)
  commit avril-profil FAIL=hang >/dev/null
  until_phase observe --observe 8
  for _ in {1..30}; do curl -s -m 30 -o /dev/null "$URL/mon-espace/version" 3>&- & done
  await_exit "$DEPLOY" 1
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" '30 requests have no answer yet, and [01] have one'
  assert_in_order nuxt_profile
  commit avril-profil GREETING=restarted >/dev/null
  until_phase observe --observe 20
  compose restart nginx
  timeout 15 bash -c "until curl -fsS -o /dev/null '$URL/mon-espace/version'; do sleep 0.1; done"
  await_exit "$DEPLOY" 1
  assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" \
    'nginx has gone back to the release before by itself, or was started again meanwhile'
  assert_equal "$(greeting avril-profil)" "$before"
  assert_in_order nuxt_profile
}

# bats test_tags=long
@test "with several replicas the first new one is observed, also when there are more than before" {
  local before
  before=$(greeting avril-profil)
  set_env PROFILE_REPLICAS=2
  commit avril-profil FAIL=/echo >/dev/null
  run --separate-stderr -1 observed --observe 20
  assert_regex "$stderr" 'the worst: /mon-espace/echo 500'
  assert_equal "$(greeting avril-profil)" "$before"
  assert_in_order nuxt_profile 2
  run --separate-stderr -1 observed --observe 20
  assert_regex "$stderr" 'the worst: /mon-espace/echo 500'
  assert_in_order nuxt_profile 2
  commit avril-profil GREETING=three >/dev/null
  run --separate-stderr -0 observed --observe 4 --canary 20
  assert_equal "$(greeting avril-profil)" three
  assert_in_order nuxt_profile 2
  set_env PROFILE_REPLICAS=1
  run -0 deploy --probation 0 avril-profil
}
