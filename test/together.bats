#!/usr/bin/env bats
# Several apps as one release: visitors get all of them or none.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  site_up avril-test-together 18275
  script deploy_all --together --observe 0
}
teardown_file() { site_down; }

teardown() {
  load_abandon
  [ -z "${BOOKLET[*]:-}" ] || kill "${BOOKLET[1]}" 2>/dev/null || true
}

APPS=(avril-profil avril-livret1)

# commits KEY=VALUE …: the same in both apps
commits() { for app in "${APPS[@]}"; do commit "$app" "$@" >/dev/null; done; }

greetings() { for app in "${APPS[@]}"; do greeting "$app"; done | paste --serial --delimiters ' '; }

# What the last two deploys say of themselves: history FIELD
history_of() {
  tail -n 2 "$SITE/.state/history.jsonl" |
    node -p "require('fs').readFileSync(0, 'utf8').trim().split('\n').map(line => JSON.parse(line).$1).join(' ')"
}

assert_all_in_order() { for service in nuxt_profile nuxt_booklet; do assert_in_order "$service"; done; }

# The first second in which a new instance of a service served somebody, in milliseconds: first_served SERVICE
first_served() {
  local file
  file=$(find "$SITE/.state/timelines" -name "$1-*.json" | sort | tail -n 1)
  node -p '
    const { start, seconds } = JSON.parse(require("fs").readFileSync(process.argv[1]))
    const instances = [...new Set(seconds.map(it => it.instance))]
    const begins = instances.map(name => Math.min(...seconds.filter(it => it.instance === name).map(it => it.second)))
    start + 1000 * Math.max(...begins)' "$file"
}

# Requests to both apps at once; assert_none_lost ends them.
load_both() {
  LOAD_NAME=booklet load_start --base /ma-candidature-vae --rate 30 --websocket 0
  BOOKLET=("$LOAD" "$LOAD_PID" "$LOAD_FD")
  load_start --base /mon-espace --rate 30 --websocket 0
}

assert_none_lost() {
  assert_no_request_lost
  LOAD=${BOOKLET[0]} LOAD_PID=${BOOKLET[1]} LOAD_FD=${BOOKLET[2]}
  assert_no_request_lost
}

@test "two apps get visitors in the same moment, and no request is lost; the one that has not changed is left alone" {
  commits GREETING=both
  load_both
  run --separate-stderr -0 script deploy_all --together --observe 12 --json
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).map(it => it.result).sort().join()' "$output")" \
    deployed,deployed,unchanged
  assert_regex "$stderr" 'nuxt_profile: ready: waiting for the other apps'
  assert_equal "$(greetings)" 'both both'
  local apart=$(($(first_served nuxt_profile) - $(first_served nuxt_booklet)))
  # On an idle machine it is the same second; one after the other it would be after the observation of the first.
  assert [ "${apart#-}" -lt 10000 ]
  assert_all_in_order
  assert_none_lost
}

# What is wrong with the second app, and the phase in which the deploy of both ends
TROUBLES=('BUILD=fail build' 'PAGE=fail healthy' 'FAIL=/version observe')

@test "when one cannot be built, does not get ready or is bad for its visitors, they keep both as they were" {
  local trouble key phase before
  before=$(greetings)
  load_both
  for trouble in "${TROUBLES[@]}"; do
    read -r key phase <<<"$trouble"
    commit avril-profil "GREETING=with $key" >/dev/null
    commit avril-livret1 "$key" >/dev/null
    run --separate-stderr -1 script deploy_all --together --observe 10
    assert_regex "$stderr" \
      "avril-(profil|livret1) and avril-(profil|livret1) were not deployed, phase $phase of nuxt_booklet"
    assert_regex "$stderr" 'the site is as it was'
    assert_equal "$(greetings)" "$before"
    assert_all_in_order
    assert_equal "$(history_of result)" 'failed failed'
  done
  assert_equal "$(history_of 'takenBack === true' | tr ' ' '\n' | sort | paste --serial --delimiters ' ')" 'false true'
  run --separate-stderr -1 script deploy_all --together --observe 0
  assert_regex "$stderr" 'avril-livret1 at .* was taken back at'
  assert_equal "$(greetings)" "$before"
}

# bats test_tags=long
@test "Ctrl-C while they are observed gives both back" {
  local before
  before=$(greetings)
  commits GREETING=stopped
  load_both
  exec_script deploy_all --together --observe 60 2>"$BATS_TEST_TMPDIR/log" &
  local pid=$!
  await_line "$BATS_TEST_TMPDIR/log" 'nuxt_booklet: observe:'
  await_line "$BATS_TEST_TMPDIR/log" 'nuxt_profile: observe:'
  kill -INT "$pid"
  await_exit "$pid" 130
  assert_equal "$(greetings)" "$before"
  assert_all_in_order
  assert_equal "$(history_of takenBack)" 'true true'
  assert_none_lost
}

# The line after which it is killed, and whose greetings there are when the next deploy has put it in order
KILLS=('nuxt_(profile|booklet): ready old' 'nuxt_(profile|booklet): observe old' 'nuxt_(profile|booklet): stop new')

# bats test_tags=long
@test "killed in whatever phase, the next deploy puts all of them in order: all new or all old" {
  local kill line whose before pid number=0
  load_both
  for kill in "${KILLS[@]}"; do
    line=${kill% *} whose=${kill##* }
    before=$(greetings)
    # Not the line itself, which is told of the commit too.
    commits "GREETING=release $((number += 1))"
    : >"$BATS_TEST_TMPDIR/log"
    exec_script deploy_all --together --observe 5 2>"$BATS_TEST_TMPDIR/log" &
    pid=$!
    await_line "$BATS_TEST_TMPDIR/log" "→ $line: "
    kill -KILL "$pid"
    wait "$pid" || true
    run --separate-stderr -0 deploy --if-change avril
    assert_regex "$stderr" 'the deploy of avril-.* and avril-.* by .* was interrupted in phase'
    if [ "$whose" = old ]; then
      assert_equal "$(greetings)" "$before"
    else
      assert_equal "$(greetings)" "release $number release $number"
    fi
    assert_all_in_order
  done
  assert_none_lost
}
