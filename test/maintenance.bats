#!/usr/bin/env bats
# The site closed for visitors, and requests that wait in nginx: on a real stack, asked through its published port.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  site_up avril-test-maintenance 18520
  mkdir -p "$SITE/nginx/static/.well-known/acme-challenge"
  echo token >"$SITE/nginx/static/.well-known/acme-challenge/t"
  # What nginx takes a visitor from this machine for.
  curl -fsS -o /dev/null "$URL/"
  VISITOR=$(docker logs "$STACK-nginx-1" 2>/dev/null | sed -n 's/ \[.*"curl.*//p' | tail -n 1)
  export VISITOR
}
teardown_file() { site_down; }

teardown() {
  load_abandon
  maintenance off 2>/dev/null
}

# told METHOD WHAT: what a deploy tells nginx of a pause
told() {
  [ "$1" != POST ] || : >"$SITE/nginx/live/paused"
  docker exec "$STACK-nginx-1" curl -fsS -X "$1" "http://127.0.0.1:8081/nginx/$2"
}
# Milliseconds from the last answer of the old instance to the first of another one.
gap() {
  node -p '
    const ends = JSON.parse(fs.readFileSync(process.argv[1])).rows.filter(({ ok }) => ok).map(it => ({ ...it, end: it.at + it.latency }))
    const [old, fresh] = [true, false].map(isOld => ends.filter(it => (it.instance === ends[0].instance) === isOld).map(it => it.end))
    Math.min(...fresh) - Math.max(...old)' "$LOAD.json"
}
maintenance() { script maintenance "$@"; }
# asked [ARGUMENTS OF curl …]: the status and some headers of an answer, in one line
asked() {
  curl -sS -m 40 -o /dev/null -w '%{http_code} %header{retry-after} %header{cache-control} %header{location}' "$@" |
    tr -s ' '
}
status_of() { curl -sS -m 40 -o /dev/null -w '%{http_code}' "$@"; }
# The workers of nginx: others after a reload.
workers() { docker exec "$STACK-nginx-1" sh -c 'grep -lszx "nginx: [w]orker process" /proc/[0-9]*/cmdline'; }

@test "visitors get the page, monitors, certificates and the apps among themselves go on, and nothing is reloaded" {
  local before
  before=$(workers)
  run --separate-stderr -0 maintenance on --message 'Nous changeons <b>tout</b> & "plus".' --until 2h
  assert_regex "$stderr" 'visitors get a page'
  run -0 curl -sS "$URL/"
  assert_output --partial 'Nous changeons &lt;b&gt;tout&lt;/b&gt; &amp; &quot;plus&quot;.'
  assert_output --partial 'Le service devrait être de retour '
  run -0 asked "$URL/mon-espace/x?y=z"
  assert_regex "$output" '^503 (7200|71[0-9][0-9]) no-store $'
  assert_equal "$(status_of --head "$URL/")" 503
  # A form and an upload too: they get their answer, whatever they send.
  assert_equal "$(status_of --data a=b "$URL/echo")" 503
  assert_equal "$(head -c 9000000 /dev/zero | status_of --data-binary @- "$URL/echo")" 503
  assert_equal "$(head -c 12000000 /dev/zero | status_of --request PUT --data-binary @- "$URL/echo")" 503
  assert_equal "$(status_of -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
    -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' "$URL/socket")" 503
  assert_equal "$(status_of "$URL/files/a.pdf") $(status_of "$URL/static/a.css") $(status_of "$URL/_avril/404.html")" \
    '503 503 404'
  assert_equal "$(status_of "$URL/healthcheck") $(status_of "$URL/.well-known/acme-challenge/t")" '200 200'
  run -0 docker exec "$STACK-nginx-1" curl -sS -o /dev/null -o /dev/null -w '%{http_code} ' http://127.0.0.1:8080/ \
    http://127.0.0.1:8081/mon-espace/
  assert_output '200 200 '
  assert_equal "$(workers)" "$before"
  # It holds when nginx is started again.
  docker restart "$STACK-nginx-1" >/dev/null
  curl -sS -o /dev/null --retry 50 --retry-all-errors --retry-delay 1 "$URL/healthcheck"
  assert_equal "$(status_of "$URL/")" 503
  run script status
  assert_line --index 0 --partial 'maintenance: visitors get a page'
  run --separate-stderr -0 maintenance off
  assert_equal "$(status_of "$URL/")" 200
  run -0 maintenance
  assert_output 'the site is open for visitors'
  run -0 grep -c '"what":"maintenance"' "$SITE/.state/audit.jsonl"
  assert_output 2
}

@test "those who are allowed get the site, by the address of their connection and by no header" {
  run -0 maintenance on --allow 192.0.2.7 --allow 2001:db8::/32
  assert_equal "$(status_of -H 'X-Forwarded-For: 192.0.2.7' -H 'X-Real-IP: 192.0.2.7' -H 'Forwarded: for=192.0.2.7' \
    "$URL/")" 503
  run -0 maintenance on --allow 192.0.2.7 --allow "${VISITOR%.*}.0/31"
  assert_equal "$(status_of "$URL/")" 200
  run -0 maintenance redirect https://example.org/ailleurs --allow "$VISITOR"
  assert_equal "$(status_of "$URL/")" 200
}

@test "a site that is closed for good sends everybody on, and there is a way back" {
  run -0 maintenance redirect https://example.org/ailleurs
  run -0 asked "$URL/mon-espace/?a=b"
  assert_output '301 max-age=3600 https://example.org/ailleurs'
  assert_equal "$(asked --data a=b "$URL/echo")" '301 max-age=3600 https://example.org/ailleurs'
  assert_equal "$(status_of "$URL/.well-known/acme-challenge/t")" 200
  run -0 maintenance off
  assert_equal "$(status_of "$URL/")" 200
}

@test "a deploy goes on while the site is closed" {
  commit avril-profil GREETING=closed >/dev/null
  run -0 maintenance on
  run -0 deploy --probation 0 avril-profil
  assert_equal "$(status_of "$URL/mon-espace/version")" 503
  run -0 maintenance off
  assert_equal "$(greeting avril-profil)" closed
}

@test "what waits in nginx goes on as it came: its path, its body, an upload, a websocket; other apps do not wait" {
  local pids=() path='/echo?a=b%2Fc' body
  body=$(head -c 3000000 /dev/urandom | base64 -w0 | head -c 4000000 | tee "$BATS_TEST_TMPDIR/sent" | sha256sum)
  run -0 told POST paused/phoenix
  assert_output true
  curl -sS -m 20 -o "$BATS_TEST_TMPDIR/got" -w '%{http_code} %{time_total}' --data-binary "@$BATS_TEST_TMPDIR/sent" \
    "$URL$path" >"$BATS_TEST_TMPDIR/post" 3>&- & pids+=($!)
  curl -sS -m 20 --path-as-is -o "$BATS_TEST_TMPDIR/version" -w '%{http_code} %{time_total}' \
    "$URL/version" >"$BATS_TEST_TMPDIR/get" 3>&- & pids+=($!)
  curl -sS -m 20 -o /dev/null -w '%{http_code} %{time_total}' \
    "$URL/static/app.css" >"$BATS_TEST_TMPDIR/static" 3>&- & pids+=($!)
  curl -sS -m 20 -i -N -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
    -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' \
    "$URL/socket/websocket" >"$BATS_TEST_TMPDIR/socket" 2>/dev/null 3>&- & pids+=($!)
  # Other apps, and the proof of a deploy, do not wait.
  assert_equal "$(status_of "$URL/mon-espace/version")" 200
  run -0 docker exec "$STACK-nginx-1" curl -sS -m 2 -o /dev/null -w '%{http_code}' http://127.0.0.1:8081/version
  assert_output 200
  sleep 2
  assert [ ! -s "$BATS_TEST_TMPDIR/get" ]
  told DELETE paused/phoenix
  await_line "$BATS_TEST_TMPDIR/socket" '^HTTP/1.1 101'
  kill "${pids[3]}" 2>/dev/null || true
  wait "${pids[0]}" "${pids[1]}" "${pids[2]}"
  assert_regex "$(cat "$BATS_TEST_TMPDIR/post")" '^200 ([2-9]|1[0-9])[.]'
  assert_equal "$(sha256sum <"$BATS_TEST_TMPDIR/got")" "$body"
  assert_regex "$(cat "$BATS_TEST_TMPDIR/get")" '^200 ([2-9]|1[0-9])[.]'
  assert_regex "$(cat "$BATS_TEST_TMPDIR/static")" '^404 ([2-9]|1[0-9])[.]'
}

@test "a request waits for 30 s at most and then gets a page that says so; a pause that nobody says again ends by itself" {
  told POST paused/phoenix
  curl -sS -m 50 -D "$BATS_TEST_TMPDIR/head" "$URL/" >"$BATS_TEST_TMPDIR/page" 3>&- &
  sleep 10
  told POST paused/phoenix
  wait $!
  assert_regex "$(cat "$BATS_TEST_TMPDIR/head")" '503.*Retry-After: 30'
  assert_regex "$(cat "$BATS_TEST_TMPDIR/page")" 'Une mise à jour est en cours'
  run -0 curl -sS -m 20 -o /dev/null -w '%{http_code}' "$URL/version"
  assert_output 200
  # Who ends a pause is told how many have waited in vain.
  run -0 told DELETE paused/phoenix
  assert_output 1
}

@test "deploy --pause: nobody sees an error, and nobody reaches the old release while the migration runs" {
  have_patience
  commit avril MIGRATION=slow:3 >/dev/null
  load_start --rate 8 --websocket 0 --timeout 300000
  run --separate-stderr -0 deploy --pause avril
  assert_no_request_lost
  # Less what the clocks of two programs differ.
  assert [ "$(gap | cut -d. -f1)" -ge 2900 ]
  assert_regex "$stderr" \
    '→ pause: requests of phoenix wait in nginx.*→ migrate.*→ switch.*✓ requests of phoenix go on, after [0-9.]+ s'
  assert_in_order phoenix
}

@test "deploy --pause that fails, or is killed, in the migration: requests go on at the release before" {
  local before
  before=$(greeting avril)
  have_patience
  commit avril MIGRATION=fail >/dev/null
  load_start --rate 8 --websocket 0 --timeout 300000
  run -1 deploy --pause avril
  assert_no_request_lost
  assert_equal "$(greeting avril)" "$before"
  commit avril MIGRATION=slow:300 >/dev/null
  : >"$BATS_TEST_TMPDIR/err"
  exec_script deploy_local --pause avril >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  DEPLOY=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ migrate'
  # shellcheck disable=SC2016 # for that shell
  timeout 60 sh -c 'until [ -n "$(docker ps --quiet --filter "label=com.docker.compose.project=$0" --filter label=com.docker.compose.oneoff=True)" ]; do sleep 0.1; done' "$STACK"
  kill -9 "$DEPLOY"
  # The migration would go on for minutes.
  run -0 curl -sS -m 40 -o /dev/null -w '%{http_code}' "$URL/version"
  assert_output 200
  docker ps --quiet --filter "label=com.docker.compose.project=$STACK" --filter label=com.docker.compose.oneoff=True |
    xargs docker kill >/dev/null
  commit avril >/dev/null
  run -0 deploy avril
  assert_in_order phoenix
}
