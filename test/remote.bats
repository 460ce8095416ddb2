#!/usr/bin/env bats
# From a laptop over a real sshd: what arrives, what is refused, what a lost connection does, the consoles, and the
# database brought home.

# bats sets these in `run --separate-stderr`, and SC2016: for the shells that a test starts.
# shellcheck disable=SC2154,SC2016
load helpers/site
load helpers/screen
load helpers/ssh

setup_file() {
  site_up avril-test-remote 18420 "BACKUP_DIR=$BATS_FILE_TMPDIR/sets"
  cp "$HERE/helpers/echo.ts" "$SITE/scripts/"
  database '' 'create table people as select i as id, md5(i::text) || md5((-i)::text) as name from generate_series(1, 8000) i'
  sshd_up 18421
  deploy --probation 0 avril-profil
}
database() { docker exec "${1:-$STACK}-postgres-1" psql -U avril -tAc "$2" 3>&-; }

teardown_file() {
  (cd "$LAPTOP" && docker compose --project-name "$STACK-laptop" down --volumes --timeout 2 2>&1)
  sshd_down
  ip netns del "$STACK" 2>/dev/null || true
  site_down
}

teardown() {
  [ -z "${SILENT:-}" ] || kill "$SILENT" || true
  load_abandon
  close_screen
}

@test "arguments arrive byte for byte; both streams and the exit code come back" {
  run -0 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$HERE/helpers/nasty.ts" "$LAPTOP"
  assert_regex "$output" '^[4-9][0-9] arrived$'
}

@test "a script runs there as it would here: its words, its result, its code, who and where from" {
  run -0 --separate-stderr remote status --on
  assert_output --partial "stack $STACK"
  refute_regex "$stderr" 'another version'
  run -64 --separate-stderr remote deploy_remote nginx
  assert_output ''
  assert_regex "$stderr" 'error: nginx cannot be rolled'
  run -64 remote deploy_remote --to v1 --rollback avril
  run -0 --separate-stderr remote psql --on server -tAc "select 'a ; \"b\" \$c'"
  assert_output 'a ; "b" $c'
  run -0 --separate-stderr bash -c 'exec node --import "$0" "$@" <<<"select 1;"' \
    "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$LAPTOP/scripts/psql.ts" --on server -tA
  assert_output 1
  run -1 --separate-stderr remote psql --on server -c 'select nonsense'
  assert_output ''
  run -0 tail -n 1 "$SITE/.state/audit.jsonl"
  assert_output --partial '"from":"127.0.0.1"'
  run -0 remote logs --on server --no-follow --tail 1 nginx
  assert_output --partial 'nginx-1'
  # All of these calls shared few connections.
  run -0 grep -c 'Accepted publickey' "$SSH_DIR/log"
  assert [ "$output" -lt 4 ]
}

@test "scripts of another version, packages that are missing there: said, and put right" {
  echo '// changed' >>"$LAPTOP/lib/system/errors.ts"
  run -0 remote status --on
  assert_output --partial 'of another version than here'
  cp "$SITE/lib/system/errors.ts" "$LAPTOP/lib/system/errors.ts"
  run -0 remote status --on
  refute_output --partial 'of another version'
}

@test "a host that cannot be used: 69, an empty stdout, the reason, and what to do" {
  local name words
  mkdir "$SSH_DIR/old" "$SSH_DIR/bare"
  # No older Node can be had here.
  printf '#!/bin/sh\necho v18.19.1\n' >"$SSH_DIR/old/node"
  chmod +x "$SSH_DIR/old/node"
  ln -s "$(command -v sh)" "$SSH_DIR/bare/sh"
  ssh-keygen -q -t ed25519 -N '' -f "$SSH_DIR/stranger"
  printf '[127.0.0.1]:18421 %s\n' "$(cut -d' ' -f1,2 "$SSH_DIR/stranger.pub")" >"$SSH_DIR/other-known"
  host stranger 18421 "UserKnownHostsFile $SSH_DIR/none"
  host changed 18421 "UserKnownHostsFile $SSH_DIR/other-known"
  serve 127.0.0.1 18422 -o "SetEnv=PATH=$SSH_DIR/old:/usr/bin:/bin"
  host old 18422 'HostKeyAlias [127.0.0.1]:18421'
  serve 127.0.0.1 18423 -o "SetEnv=PATH=$SSH_DIR/bare"
  host bare 18423 'HostKeyAlias [127.0.0.1]:18421'
  serve 127.0.0.1 18424 -o "AuthorizedKeysFile=$SSH_DIR/stranger.pub"
  host refused 18424 'HostKeyAlias [127.0.0.1]:18421'
  host dead 18429
  # A server that takes connections and never says a word.
  node -e 'require("net").createServer(() => {}).listen(18425, "127.0.0.1")' 3>&- &
  SILENT=$!
  host silent 18425
  remote status --on silent >"$BATS_TEST_TMPDIR/silent" 2>&1 3>&- &
  local late=$!

  while IFS='|' read -r name words; do
    run -69 --separate-stderr remote status --on "$name"
    assert_output ''
    assert_regex "$stderr" "error: $words"
    assert_regex "$stderr" 'hint: '
  done <<'END'
stranger|stranger cannot be reached: its host key is not known here
changed|changed cannot be reached: its host key is another one than known_hosts has
refused|refused cannot be reached: it refuses the key
dead|dead cannot be reached: nothing answers on its ssh port
nowhere.invalid|nowhere.invalid cannot be reached: there is no host of this name
bare|there is no Node on bare
old|Node on old is v18.19.1, and the scripts need 20.19 or later
END
  printf '%s\n' DEPLOY_HOST=server DEPLOY_PATH=/nowhere >"$LAPTOP/.env"
  run -69 remote status --on
  assert_output --partial 'the scripts are not in /nowhere on server'
  printf '%s\n' DEPLOY_HOST=server "DEPLOY_PATH='$SITE'" >"$LAPTOP/.env"
  await_exit "$late" 69
  assert_regex "$(cat "$BATS_TEST_TMPDIR/silent")" 'silent cannot be reached: it does not answer \(time-out\)'
  # Debian's bash reads this for ssh too.
  echo 'echo Welcome' >"$SSH_DIR/home/.bashrc"
  run -0 --separate-stderr remote status --on
  assert_line "stack $STACK"
  run -69 remote backup_remote
  assert_output --partial 'the login shell on server writes lines of its own ("Welcome")'
  rm "$SSH_DIR/home/.bashrc"
  run -64 remote status --on '-oProxyCommand=id'
  run -64 remote status --on 'a;b'
}

# remote_until PHASE REPO: starts deploy_remote of an app in the background, as DEPLOY, and waits until it enters the
# phase
remote_until() {
  : >"$BATS_TEST_TMPDIR/err"
  exec_remote deploy_remote ${VIA:+--on "$VIA"} --observe 0 --probation 0 \
    "$2" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" "^→ $1"
}

# cut_in PHASE REPO RESULT [KEY=VALUE …]: the connection is lost as a deploy of a new commit enters the phase. What was
# begun on the server ends in order by itself, as if it had not been or as planned; the next call says which.
cut_in() {
  local phase=$1 repository=$2 expected=$3 before result status=0
  shift 3
  commit "$repository" GREETING="cut-in-$phase" READY_AFTER=1 "$@" >/dev/null
  before=$(greeting "$repository")
  remote_until "$phase" "$repository"
  "$CUT"
  wait "$DEPLOY" || status=$?
  flock --timeout 60 "$SITE/.state/lock" true
  result=$(last_deploy result)
  assert_regex "$result" "^($expected)$"
  assert_equal "$(last_deploy repository)" "$repository"
  assert_equal "$(greeting "$repository")" "$([ "$result" = failed ] && echo "$before" || echo "cut-in-$phase")"
  [ "$CUT" = drop_connections ] || ip link set "$LINK" up
  # The last phases may be over before the line is cut.
  if [ "$status" -eq 0 ]; then assert_regex "$phase" '^(stop|tidy)$' && return; fi
  assert_equal "$status" "$ENDS_WITH"
  run -0 --separate-stderr remote status --on ${VIA:+"$VIA"}
  assert_regex "$stderr" "did not come back. Since then: $repository by .*: $result"
}

# bats test_tags=long
@test "the connection is lost in each phase, under load: the rollout goes back or is finished, and the next call says how it ended" {
  local phase
  CUT=drop_connections ENDS_WITH=69
  load_start --base /mon-espace --rate 60 --websocket 0 --slow 1
  for phase in plan build healthy; do cut_in "$phase" avril-profil failed; done
  for phase in switch stop; do cut_in "$phase" avril-profil deployed; done
  cut_in migrate avril failed
  assert_in_order nuxt_profile
  assert_in_order phoenix
  assert_no_request_lost
}

unplug() {
  ip link set "$LINK" down
  # Who sits at the laptop does not wait for a time-out.
  kill -9 "$DEPLOY"
  drop_connections
}

@test "the network is unplugged, under load: the server notices, and ends what was begun" {
  export NETNS=$STACK LINK=avril-remote
  VIA=unplugged CUT=unplug ENDS_WITH=137
  # A run that was killed has left it.
  ip netns del "$NETNS" 2>/dev/null || true
  ip netns add "$NETNS"
  ip link add "$LINK" type veth peer name inside netns "$NETNS"
  ip address add 203.0.113.1/30 dev "$LINK"
  ip netns exec "$NETNS" ip address add 203.0.113.2/30 dev inside
  ip netns exec "$NETNS" ip link set inside up
  ip link set "$LINK" up
  serve 203.0.113.2 18426
  host unplugged 18426 'HostName 203.0.113.2' 'HostKeyAlias [127.0.0.1]:18421'
  load_start --base /mon-espace --rate 60 --websocket 0 --slow 1
  # The server notices after 2 to 3 s; by then a quick rollout may be over.
  cut_in build avril-profil 'failed|deployed'
  cut_in healthy avril-profil failed READY_AFTER=9
  cut_in drain avril-profil deployed
  assert_in_order nuxt_profile
  assert_no_request_lost
}

@test "Ctrl-C and SIGTERM here reach the script there, and its code comes back" {
  local pair before
  commit avril-profil READY_AFTER=3 GREETING=stopped >/dev/null
  before=$(greeting avril-profil)
  for pair in INT:130:Ctrl-C TERM:143:SIGTERM; do
    remote_until healthy avril-profil
    kill -"${pair%%:*}" "$DEPLOY"
    await_exit "$DEPLOY" "$(cut -d: -f2 <<<"$pair")"
    assert_regex "$(cat "$BATS_TEST_TMPDIR/err")" "phase healthy: stopped by .*${pair##*:}"
    assert_in_order nuxt_profile
  done
  assert_equal "$(greeting avril-profil)" "$before"
  # Where the standard input is data.
  exec_remote psql --on server -c 'select pg_sleep(600)' </dev/null >/dev/null 2>&1 &
  DEPLOY=$!
  until [ "$(database '' "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'")" = 1 ]; do
    sleep 0.1
  done
  kill -INT "$DEPLOY"
  await_exit "$DEPLOY" 130
  until [ "$(database '' "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'")" = 0 ]; do
    sleep 0.1
  done
}

@test "psql over ssh is a real terminal: it answers, follows the size, Ctrl-C cancels the query, Ctrl-D ends" {
  open_screen "$LAPTOP" psql --on server
  await_screen '^avril=# *$'
  enter 'select 40 + 2 as answer;'
  await_screen '^ +42$'
  enter '\! stty size'
  await_screen '^24 80$'
  screen resize-window -x 100 -y 30
  until enter '\! stty size' && await_screen '^(24 80|30 100)$' && screen capture-pane -p | grep -qx '30 100'; do
    :
  done
  enter "select pg_sleep(600), 'asleep';"
  until [ "$(database '' \
    "select count(*) from pg_stat_activity where query like '%asleep%' and state = 'active' and pid <> pg_backend_pid()")" = 1 ]; do
    sleep 0.1
  done
  screen send-keys C-c
  await_screen 'canceling statement due to user request'
  enter "select 'goes on';"
  await_screen '^ goes on$'
  screen send-keys C-d
  await_screen '^ended with 0$'
  assert_equal "$(screen capture-pane -p | grep -c 'Shared connection')" 0
}

consoles() { docker exec "$STACK-phoenix-1" sh -c 'grep -lzs ^CONSOLE_SESSION= /proc/[0-9]*/environ | wc -l' 3>&-; }

@test "a console in the live instance: it answers, Ctrl-C and Ctrl-D do what they do, and nothing is left when the line is lost" {
  open_screen "$SITE" console_local
  await_screen '^iex\(1\)> *$'
  enter 'Application.spec(:avril, :vsn)'
  await_screen "^(~c)?[\"']1\.0\.0[\"']\$"
  screen send-keys C-c
  await_screen '^BREAK: '
  enter a
  await_screen '^ended with 0$'
  run -0 tail -n 1 "$SITE/.state/audit.jsonl"
  assert_output --partial "\"what\":\"console\",\"instance\":\"$STACK-phoenix-"
  close_screen

  open_screen "$LAPTOP" console_remote
  await_screen '^iex\(1\)> *$'
  screen resize-window -x 100 -y 30
  enter '{:ok, columns} = :io.columns(); IO.puts("wide: #{columns}")'
  await_screen '^wide: (80|100)$'
  drop_connections
  await_screen '^ended with 69$'
  until [ "$(consoles)" = 0 ]; do sleep 0.2; done
  run -0 bash -c 'exec node --import "$0" "$@" <<<"IO.puts(6 * 7)"' "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$LAPTOP/scripts/console_remote.ts"
  assert_line --regexp '^(iex.*)?42$'
  run -64 remote console_local --on server avril-profil
  assert_output --partial 'avril-profil has no console'
}

# What the instance runs: each file of its code with its time and its content.
code_of() {
  docker exec "$1" sh -c 'find _build -name "*.beam" -exec stat -c "%n %y" {} + -exec sha256sum {} + | sort' 3>&-
}

@test "neither the start nor a console nor a migration compiles the code of the live instance, even when it looks stale" {
  local before
  run docker logs "$STACK-phoenix-1"
  refute_output --partial Compiling
  before=$(code_of "$STACK-phoenix-1")
  docker exec "$STACK-phoenix-1" sh -c 'echo "# stale" >>lib/avril/router.ex' 3>&-
  run -0 bash -c 'exec node --import "$0" "$@" <<<"IO.puts(6 * 7)"' "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$SITE/scripts/console_local.ts"
  assert_line --regexp '^(iex.*)?42$'
  refute_output --partial Compiling
  assert_equal "$(code_of "$STACK-phoenix-1")" "$before"
  run -0 compose run --rm --no-deps phoenix mix ecto.migrate --no-compile
  refute_output --partial Compiling
  assert_equal "$(code_of "$STACK-phoenix-1")" "$before"
}

@test "--remote-shell attaches to the node that runs, by the name that it was given" {
  open_screen "$SITE" console_local --remote-shell
  await_screen '^iex\(avril@127\.0\.0\.1\)1> *$'
  close_screen
  set_env "ELIXIR_ERL_OPTIONS='-sname avril'"
  printf "ELIXIR_ERL_OPTIONS='-sname avril'\n" >>"$SITE/.env"
  run -0 deploy --probation 0 avril
  open_screen "$SITE" console_local --remote-shell
  await_screen '^iex\(avril@[0-9a-f]+\)1> *$'
  enter 'node()'
  await_screen '^:"?avril@'
  screen send-keys C-g
  await_screen 'User switch command'
  enter q
  await_screen 'ended with 0$'
  # The one that serves has not noticed, and a console of its own opens beside it.
  close_screen
  run -0 greeting avril
  open_screen "$SITE" console_local
  await_screen '^iex\(1\)> *$'
}

@test "the console opens in the live instance, also during a rollout" {
  local live
  live=$(docker ps --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=phoenix --format '{{.Names}}')
  commit avril READY_AFTER=60 >/dev/null
  : >"$BATS_TEST_TMPDIR/err"
  exec_script deploy_local --observe 0 --probation 0 avril >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ healthy'
  script console_local </dev/null >/dev/null
  run -0 tail -n 1 "$SITE/.state/audit.jsonl"
  assert_output --partial "\"instance\":\"$live\""
  kill -INT "$DEPLOY"
  await_exit "$DEPLOY" 130
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

# The newest set of the server is what lies in db/dumps of the laptop, and nothing half done lies beside it.
assert_downloaded() {
  local set
  set=$(find "$BATS_FILE_TMPDIR/sets" -maxdepth 1 -name 'avril-test-remote-*Z' | sort | tail -n 1)
  assert_equal "$(sha256 "$LAPTOP/db/dumps/latest.dump")" "$(sha256 "$set/database.dump")"
  (cd "$LAPTOP/db/dumps" && sha256sum --check --quiet latest.dump.sha256)
  assert_equal "$(stat -c '%a' "$LAPTOP/db/dumps/latest.dump")" 600
  assert_equal "$(find "$LAPTOP/db/dumps" -name '.*' -mindepth 1)" ''
}

@test "backup_remote: a set on the server, its database here, a warning, and a line in the server's audit log" {
  run -0 --separate-stderr remote backup_remote
  assert_output "$LAPTOP/db/dumps/latest.dump"
  assert_regex "$stderr" 'verified in .*personal data'
  assert_downloaded
  run -0 grep '"what":"download"' "$SITE/.state/audit.jsonl"
  assert_line --regexp '"who":"[^"]*@127.0.0.1","from":"127.0.0.1","what":"download","set":"avril-test-remote-.*","file":"database.dump","offset":0'
  run -64 remote backup_remote '../x'
  run -64 remote backup_remote --anonymise x.sql
}

@test "backup_remote: what a server answers that is no set is refused with 65, and nothing outside db/dumps is touched" {
  local answer names
  mkdir -p "$LAPTOP/mine" "$LAPTOP/db/dumps/.download-x"
  touch "$LAPTOP/mine/letter"
  printf '{' >"$LAPTOP/db/dumps/.download-x/begun.json"
  names=$(ls "$LAPTOP/db/dumps")
  cp "$SITE/scripts/backup.ts" "$BATS_TEST_TMPDIR/kept.ts"
  # It answers --send as it must for what its manifest says.
  cat >"$SITE/scripts/backup.ts" <<'END'
import { readFileSync } from 'node:fs'
console.log(process.argv.includes('--send') ? 'x' : readFileSync(new URL('answer', import.meta.url), 'utf8'))
END
  for answer in '{"name":"x/../../../mine"}' '{"name":"avril-20261122T030000Z"}' null '' 'hello'; do
    node -e '
      const answer = process.argv[1]
      const digest = { bytes: 2, sha256: require("crypto").createHash("sha256").update("x\n").digest("hex") }
      const rest = { version: 1, made: "2026-11-22T03:00:00Z", host: "there", who: "anna", database: { name: "avril", server: "18.6", tables: {} }, objects: null }
      const files = { "database.dump": digest, "globals.sql": digest, ...(answer.includes("..") ? {} : { "../../../../mine/letter": digest }) }
      console.log(answer.startsWith("{") ? JSON.stringify({ ...rest, files, ...JSON.parse(answer) }) : answer)' "$answer" >"$SITE/scripts/answer"
    run -65 --separate-stderr remote backup_remote --no-files
    assert_output ''
    assert_regex "$stderr" 'the answer of server is not a backup set'
  done
  mv "$BATS_TEST_TMPDIR/kept.ts" "$SITE/scripts/backup.ts"
  rm "$SITE/scripts/answer"
  assert [ -e "$LAPTOP/mine/letter" ]
  assert_equal "$(ls -A "$LAPTOP/db/dumps")" "$names"
}

# bats test_tags=long
@test "a download that is cut goes on where it stopped, also in the next call; what is damaged on the way is not taken" {
  local before names
  printf 150000 >"$SSH_DIR/limit"
  host weak 18421 "ProxyCommand node '$HERE/helpers/weak_line.mjs' 18421 '$SSH_DIR/limit'" \
    'HostKeyAlias [127.0.0.1]:18421'
  run -0 remote backup_remote --on weak
  assert_output --regexp 'the connection was cut at [0-9.]+ kB of [0-9.]+ kB: going on'
  assert_downloaded

  interrupt_download
  printf 100000000 >"$SSH_DIR/limit"
  names=$(ls "$BATS_FILE_TMPDIR/sets")
  run -0 remote backup_remote --on weak
  assert_output --partial 'was cut: it goes on, and no new set is made'
  assert_downloaded
  assert_equal "$(ls "$BATS_FILE_TMPDIR/sets")" "$names"

  before=$(sha256 "$LAPTOP/db/dumps/latest.dump")
  interrupt_download
  printf 100000000 >"$SSH_DIR/limit"
  printf x | dd of="$(find "$BATS_FILE_TMPDIR/sets" -name database.dump | sort | tail -n 1)" bs=1 seek=200000 \
    conv=notrunc status=none
  run -65 remote backup_remote --on weak
  assert_output --partial 'did not arrive as it is on weak: its sha256 is another'
  assert_equal "$(sha256 "$LAPTOP/db/dumps/latest.dump")" "$before"
}

# A download over the weak line that is given up after the first cut.
interrupt_download() {
  drop_connections
  printf 150000 >"$SSH_DIR/limit"
  : >"$BATS_TEST_TMPDIR/err"
  exec_remote backup_remote --on weak </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/err" &
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" 'the connection was cut'
  kill -INT "$DEPLOY"
  await_exit "$DEPLOY" 130
}

@test "--restore --anonymise: a developer's copy; SQL that fails leaves the database here as it was" {
  local copy=$STACK-laptop
  # Without the releases, which are the server's.
  sed -e "s/^COMPOSE_PROJECT_NAME=.*/COMPOSE_PROJECT_NAME=$copy/" -e '/^COMPOSE_FILE=/d' "$SITE/.env" >"$LAPTOP/.env"
  printf '%s\n' DEPLOY_HOST=server "DEPLOY_PATH='$SITE'" >>"$LAPTOP/.env"
  rm -f "$LAPTOP"/db/dumps/*
  (cd "$LAPTOP" && docker compose up --detach --wait postgres 2>&1 3>&-)
  printf "update people set name = 'nobody';\n" >"$BATS_TEST_TMPDIR/anonymise.sql"
  run -0 --separate-stderr remote backup_remote --restore --yes --json --anonymise "$BATS_TEST_TMPDIR/anonymise.sql"
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).restored.result' "$output")" restored
  # What a server of ours has sent is no stranger's.
  refute_regex "$stderr" 'no backup set'
  assert_equal "$(database "$copy" "select name || count(*) from people group by name")" nobody8000
  assert_equal "$(database '' 'select count(distinct name) from people')" 8000
  printf 'drop table people; select nonsense;\n' >"$BATS_TEST_TMPDIR/anonymise.sql"
  run -1 remote backup_remote --restore --yes --anonymise "$BATS_TEST_TMPDIR/anonymise.sql"
  assert_output --partial 'nothing was restored'
  assert_equal "$(database "$copy" "select name || count(*) from people group by name")" nobody8000
}
