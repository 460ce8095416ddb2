#!/usr/bin/env bats
# npm run demo, without a terminal, beside whatever else runs on this machine.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  export DEMO_NAME=avril-demo-test DEMO_PORT=18282 DEMO_RATE=40 DEMO_FOLDER="$BATS_FILE_TMPDIR/a demo"
}

# Also what a demo would make that took COMPOSE_PROJECT_NAME from the environment.
teardown_file() {
  local name
  for name in "$DEMO_NAME" "$DEMO_NAME-astray"; do
    docker ps --all --quiet --filter "label=com.docker.compose.project=$name" |
      xargs --no-run-if-empty docker rm --force --volumes >/dev/null
    docker volume rm --force "${name}_postgres" "${name}_minio" >/dev/null
    docker network ls --quiet --filter "label=com.docker.compose.project=$name" |
      xargs --no-run-if-empty docker network rm >/dev/null
  done
  docker image ls --format '{{.Repository}}:{{.Tag}}' --filter "reference=$DEMO_NAME-*" |
    xargs --no-run-if-empty docker image rm --force >/dev/null
}

demo() { (cd "$CHECKOUT" && exec node --import tsx test/demo.ts "$@" 3>&-); }

@test "nothing is made when the port is another program's, and one line says what to do" {
  # shellcheck disable=SC2016 # for node
  node -e 'require("net").createServer().listen(+process.argv[1], "127.0.0.1", () => console.log("listening"))' \
    "$DEMO_PORT" \
    >"$BATS_TEST_TMPDIR/other" 3>&- &
  local other=$!
  await_line "$BATS_TEST_TMPDIR/other" listening
  run --separate-stderr -1 demo
  kill "$other"
  assert_output ''
  assert_equal "${#stderr_lines[@]}" 1
  assert_regex "$stderr" "^error: port $DEMO_PORT is taken .*DEMO_PORT=[0-9]+ npm run demo"
  assert [ ! -e "$DEMO_FOLDER" ]
}

@test "settings that make no sense are refused with 64, and nothing is made" {
  DEMO_NAME=avril run --separate-stderr -64 demo
  assert_regex "$stderr" 'error: DEMO_NAME "avril"'
  DEMO_RATE=fast run --separate-stderr -64 demo
  assert_regex "$stderr" 'error: DEMO_RATE "fast"'
  DEMO_PORT=80 run --separate-stderr -64 demo
  assert_regex "$stderr" 'error: DEMO_PORT "80"'
  assert [ ! -e "$DEMO_FOLDER" ]
}

@test "the demo makes a site, loses no request, leaves the site up, and the command that it prints stops it" {
  # What is set for a real stack must not lead the demo there.
  NGINX_PORT=1 COMPOSE_PROJECT_NAME=$DEMO_NAME-astray run --separate-stderr -0 demo
  assert_line --regexp '^[0-9]{4,} requests sent in [0-9.]+ s, 0 failed$'
  assert_line --regexp '^p99 +[0-9.]+ ms before, [0-9.]+ ms during'
  assert_line --regexp '^phases +plan .* build .* healthy .* switch .* drain .* tidy '
  assert_regex "$stderr" 'requests [0-9]+ in the last second, [0-9]+ sent, [0-9]+ open · failed 0'
  refute_regex "$stderr" $'\e'
  local stop
  stop=$(sed -n 's/^stop it *//p' <<<"$output")
  run -0 curl -fsS "http://127.0.0.1:$DEMO_PORT/version"
  assert_output --partial 'a new release'
  run -0 bash -c "$stop"
  run -0 docker ps --all --quiet --filter "label=com.docker.compose.project=$DEMO_NAME"
  assert_output ''
  run -0 docker volume ls --quiet --filter "label=com.docker.compose.project=$DEMO_NAME"
  assert_output ''
}
