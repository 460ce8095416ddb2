#!/usr/bin/env bats
# The promise: rollouts in a row under load lose no request. And the proof that this test can fail: the old procedure
# does lose some.

load helpers/site

setup_file() {
  site_up avril-test-rollouts 18230
  # Two releases to alternate between, built before the load begins.
  commit avril GREETING=left READY_AFTER=2 >/dev/null
  deploy --probation 0 avril
  export LEFT RIGHT
  LEFT=$(git -C "$PLAY/origin/avril.git" rev-parse main)
  RIGHT=$(commit avril GREETING=right READY_AFTER=2)
  deploy --probation 0 avril
}
teardown_file() { site_down; }

teardown() { load_abandon; }

sent() { node -p "const it = JSON.parse(require('fs').readFileSync('$LOAD.json')); it.$1"; }

@test "three rollouts in a row at 250 requests a second: none is lost" {
  load_start --rate 250
  local round
  for round in 1 2 3; do
    run -0 deploy --probation 0 --to "$( ((round % 2)) && echo "$LEFT" || echo "$RIGHT")" avril
  done
  assert_no_request_lost
  # Every kind of request was there, and several instances answered.
  assert_equal "$(sent "kinds.post.sent > 0 && it.kinds.fresh.sent > 0 && it.kinds.slow.sent > 10 && it.kinds.idle.sent > 0 && it.kinds.websocket.sent > 10")" true
  assert_equal "$(sent 'instances.length >= 4')" true
  assert_in_order phoenix
}

@test "the same load against the procedure of the old scripts sees requests fail" {
  load_start --rate 250 --timeout 4000
  run -0 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$HERE/helpers/old_rollout.ts" "$SITE" \
    "$STACK" phoenix
  await_line "$LOAD.err" ' [1-9][0-9]+ failed'
  load_stop || true
  cat "$LOAD.out"
  assert_equal "$(sent 'failed > 10')" true
}
