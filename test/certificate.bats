#!/usr/bin/env bats
# A certificate that renews itself, from a real authority (pebble) by certbot, for a site whose nginx runs alone.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site
load helpers/acme
load helpers/notices

setup_file() {
  acme_remove
  "$HERE/images.sh" acme 3>&-
  site_make avril-test-certificate 0
  set_env WHOST=avril.test POSTGRES_PASSWORD=a-secret AWS_SECRET_ACCESS_KEY=a-secret SECRET_KEY_BASE=a-secret
  printf '%s\n' WHOST_ALIASES=www.avril.test ACME_DIRECTORY=https://authority:14000/dir >>"$SITE/.env"
  export BIN=$BATS_FILE_TMPDIR/bin
  mkdir "$BIN"
  # certbot is in a container; who runs as crond here does nothing.
  cat >"$BIN/certbot" <<SH
#!/bin/sh
exec docker exec --env REQUESTS_CA_BUNDLE="$BATS_FILE_TMPDIR/authority/root.pem" "$STACK-certbot" certbot "\$@"
SH
  chmod +x "$BIN/certbot"
  cp "$(command -v sleep)" "$BIN/crond"
  "$BIN/crond" infinity 3>&- &
  export CROND=$!
  compose up --detach --wait --no-deps --no-build nginx 2>&1
  acme_prepare $((90 * 86400))
  resolves avril.test "$(address_of "$STACK-nginx-1")"
  resolves www.avril.test "$(address_of "$STACK-nginx-1")"
}

teardown_file() {
  kill "$CROND"
  acme_remove
  site_down
  rm -f "/etc/cron.d/$STACK-certificate"
}

setup() { export PATH=$BIN:$PATH; }

port_of() { compose port nginx "$1" | sed 's/.*://'; }

# What a visitor is shown, who trusts the authority alone: visit NAME [OPTION of curl …]
visit() {
  local name=$1
  shift
  curl -sS -m 10 --cacert "$BATS_FILE_TMPDIR/visitors.pem" --connect-to "::127.0.0.1:$(port_of 443)" -o /dev/null "$@" \
    "https://$name/healthcheck"
}
served() { visit avril.test "$@" -w '%{certs}' | openssl x509 -noout -serial; }
workers() { compose exec -T nginx sh -c "grep -lszx 'nginx: [w]orker process' /proc/[0-9]*/cmdline"; }

@test "--certificate: one command to https, for each name; again it asks nobody" {
  run -78 script setup --renew
  assert_output --partial 'no authority has given this site its certificate'
  run -0 script setup --certificate admin@avril.test
  assert_line --regexp '^→ certificate: asking authority:14000 for a certificate for avril.test, www.avril.test. Its terms are accepted by that, for admin@avril.test'
  assert_line --regexp '^✓ certificate: issued/fullchain.pem, until .* \((89|90) days\)'
  assert_line --regexp '^✓ served: nginx serves issued/fullchain.pem'
  assert_line --regexp '^✓ renewal: four times a day'
  run -0 visit avril.test -w '%{http_code}'
  assert_output 200
  run -0 visit www.avril.test -w '%{http_code} %{redirect_url}'
  assert_output '301 https://avril.test/healthcheck'
  # Nobody else on this machine reads the key, and nginx sees neither the account nor old keys.
  run -0 stat -L -c '%a %U' "$PLAY/ssl/avril.test/issued" "$PLAY/ssl/avril.test/issued/privkey.pem" "$PLAY/ssl/certbot"
  assert_output $'700 root\n600 root\n700 root'
  run -0 compose exec -T nginx find /ssl /run/avril -name '*key*'
  refute_output --partial account
  run -0 grep -c 'setup.js\|setup.ts' "/etc/cron.d/$STACK-certificate"

  local before
  before="$(served) $(workers) $(inside_authority sh -c 'cat /proc/1/comm')"
  run -0 script setup --certificate admin@avril.test
  refute_output --partial '→'
  run -0 script setup --renew
  assert_output --regexp '^✓ the certificate is not due yet; it lasts until .* \((89|90) days\)$'
  assert_equal "$(served) $(workers) $(inside_authority sh -c 'cat /proc/1/comm')" "$before"
  run -1 script status
  assert_line --regexp '^✓ certificate  until .*, (89|90) days left · renews itself$'
}

@test "the authority asks for a renewal (ARI): it comes at once, without a reload; another name of the site is put into the next one" {
  local before after
  before=$(served) after=$(workers)
  asks_for_renewal
  run -0 script setup --renew
  assert_output --partial 'a new certificate is served, without a reload; it lasts until '
  refute_equal() { [ "$1" != "$2" ]; }
  refute_equal "$(served)" "$before"
  assert_equal "$(workers)" "$after"
  # The one before is kept, and no more.
  asks_for_renewal
  run -0 script setup --renew
  assert_equal "$(find "$PLAY/ssl/avril.test" -mindepth 1 -maxdepth 1 -type d | wc -l)" 2
}

@test "a wrong DNS answer for a name that visitors use: words and a code for each, and the certificate that works is served on" {
  local before address code words
  before="$(served) $(workers) $(readlink "$PLAY/ssl/avril.test/issued")"
  docker exec --detach "$STACK-certbot" python3 -m http.server --directory /var/empty 80
  while IFS='|' read -u 4 -r address code words; do
    case $address in somebody) address=$(address_of "$STACK-certbot") ;; nobody) address=$(address_of \
      "$STACK-authority") ;; esac
    resolves www.avril.test "$address"
    asks_for_renewal
    run "-$code" script setup --renew
    assert_output --partial "www.avril.test: $words"
    assert_output --partial 'dig +short A www.avril.test'
    assert_output --partial 'one certificate is for all of avril.test, www.avril.test'
    assert_output --partial 'what is refused for half a day is left out'
  done 4<<TABLE
|78|the DNS has no answer for it that leads anywhere
broken|78|the DNS has no answer for it that leads anywhere
somebody|78|somebody else answers there, not this server
nobody|69|the authority does not reach it by port 80
TABLE
  run -1 script setup --check
  assert_line --partial '! renewal: the last renewal failed, at '
  assert_equal "$(served) $(workers) $(readlink "$PLAY/ssl/avril.test/issued")" "$before"
}

@test "a name that is refused for half a day is left out, so that the others are renewed; it comes back by itself" {
  hear
  set_env "NOTICE_URL=$HEARD_URL/hook"
  resolves www.avril.test
  asks_for_renewal
  run -78 script setup --renew
  sed -i "s/\"since\":\"[^\"]*/\"since\":\"$(date -u -d '-13 hours' +%FT%TZ)/" "$SITE/.state/certificate.json"
  # certbot asks the authority again only when that wants it.
  run -0 script setup --renew
  assert_output --partial 'is not due yet'
  hours_pass
  run -0 script setup --renew
  assert_output --partial 'the certificate is asked for without www.avril.test: the DNS has no answer'
  assert_output --partial 'a new certificate is served, without a reload'
  run -0 visit avril.test -w '%{http_code}'
  run -60 visit www.avril.test
  run -1 script status
  assert_line --regexp '^✓ certificate .* not for www\.avril\.test, which the authority refuses'
  # It is asked for at each run, and nothing is renewed for that; another one that was never there is left out at once.
  set_env WHOST_ALIASES=www.avril.test,never.avril.test
  run -0 script setup --renew
  assert_output --partial 'is asked for without never.avril.test'
  assert_output --partial 'is not due yet'
  set_env WHOST_ALIASES=www.avril.test
  resolves www.avril.test "$(address_of "$STACK-nginx-1")"
  run -0 script setup --renew
  run -0 visit www.avril.test -w '%{http_code}'
  run -0 heard
  assert_line --index 0 '✗ avril.test: the certificate is not for www.avril.test, and browsers refuse them: their DNS must lead to this server, or take them out of WHOST_ALIASES; tsx scripts/setup.ts --renew says why'
  assert_line --index -1 --partial '✓ avril.test: the certificate was renewed for all names of the site'
  assert_equal "${#lines[@]}" 3
  hear_no_more
  set_env NOTICE_URL=
}

@test "an authority that is down for days: the site is served, people hear of it once a day when it gets late, and when it is over" {
  local heard=$BATS_TEST_TMPDIR/heard before
  # shellcheck disable=SC2016 # for node
  node -e '
    require("node:http").createServer((request, response) => request.on("data", text => require("node:fs").appendFileSync(process.argv[1], `${text}\n`)).on("end", () => response.end()))
      .listen(0, "127.0.0.1", function () { console.log(this.address().port) })' "$heard" >"$BATS_TEST_TMPDIR/port" 3>&- &
  local listener=$!
  await_line "$BATS_TEST_TMPDIR/port" '^[0-9]+$'
  set_env "NOTICE_URL=http://127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")/hook"
  before=$(workers)
  docker network disconnect "${STACK}_default" "$STACK-authority"
  hours_pass
  run -69 script setup --renew
  assert_output --partial 'the authority does not answer'
  assert_output --partial 'cron asks again by itself'
  assert [ ! -e "$heard" ]

  # Two months later: nobody has renewed it.
  local late=$PLAY/ssl/avril.test/issued-late
  mkdir "$late"
  docker exec "$STACK-certbot" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -subj /CN=avril.test -addext subjectAltName=DNS:avril.test,DNS:www.avril.test \
    -not_before "$(date -u -d '-80 days' +%Y%m%d%H%M%SZ)" -not_after "$(date -u -d '+10 days 1 hour' +%Y%m%d%H%M%SZ)" \
    -out "$late/fullchain.pem" -keyout "$late/privkey.pem"
  ln -s issued-late "$PLAY/ssl/avril.test/next"
  mv -T "$PLAY/ssl/avril.test/next" "$PLAY/ssl/avril.test/issued"
  run -69 script setup --renew
  run -69 script setup --renew
  run -0 cat "$heard"
  assert_equal "${#lines[@]}" 1
  assert_output --regexp \
    '"✗ avril.test: the certificate expires in 10 days, and was not renewed; its renewal has failed for .*: no certificate was given: the authority does not answer'
  run -1 script status
  assert_line --regexp '^✗ certificate  until .*, 10 days left · renews itself · expires in 10 days, and was not renewed'
  run -1 script setup --check
  assert_line --regexp '! certificate: issued/fullchain.pem expires on .*, in 10 days'

  docker network connect --alias authority "${STACK}_default" "$STACK-authority"
  run -0 script setup --renew
  assert_output --partial 'a new certificate is served, without a reload'
  run -0 tail -n 1 "$heard"
  assert_output --regexp '"✓ avril.test: the certificate was renewed, and lasts until .* \((89|90) days\)'
  assert_equal "$(workers)" "$before"
  kill "$listener"
  set_env NOTICE_URL=
}

# bats test_tags=long
@test "a real cron renews by the entry that --certificate wrote" {
  local entry=/etc/cron.d/$STACK-certificate before
  before=$(served)
  asks_for_renewal
  rm -f "$SITE/.state/certificate.log"
  # Each minute instead of four times a day, and with the certbot of the test: the rest of the line is as installed.
  sed -i -E -e "s/^[0-9]+ [0-9,]+ /* * /" -e "s|^PATH=|&$BIN:|" "$entry"
  cron_start
  await_line "$SITE/.state/certificate.log" 'a new certificate is served, without a reload'
  cron_stop
  assert [ "$(served)" != "$before" ]
}

@test "what a person puts there is served without a reload by setup.ts, once the authority's is taken away" {
  local before
  before=$(workers)
  rm "$PLAY/ssl/avril.test/issued"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=avril.test \
    -addext subjectAltName=DNS:avril.test,DNS:www.avril.test \
    -out "$PLAY/ssl/avril.test/fullchain.pem" -keyout "$PLAY/ssl/avril.test/privkey.pem" 2>/dev/null
  run -1 script setup --check
  assert_line --partial '! served: nginx does not serve fullchain.pem yet'
  assert_line --partial '! renewal: cron renews a certificate that is not there'
  run -0 compose exec -T nginx /etc/nginx/avril/certificate.sh
  assert_output 'tls /ssl/fullchain.pem'
  # Each worker looks again after a second.
  local expected end=$((SECONDS + 30))
  expected=$(openssl x509 -noout -serial -in "$PLAY/ssl/avril.test/fullchain.pem")
  until [ "$(served --insecure)" = "$expected" ]; do assert [ "$SECONDS" -lt "$end" ]; done
  assert_equal "$(workers)" "$before"
  run -1 script setup --check
  assert_line --partial '✓ served: nginx serves fullchain.pem'
}

# bats test_tags=long
@test "60 renewals under load: no reload, and no request lost on new connections, on one that is kept, and by HTTP/2" {
  local before count
  run -0 script setup --certificate admin@avril.test
  before=$(workers)
  node "$HERE/helpers/tls_load.mjs" "$(port_of 443)" avril.test \
    "$BATS_FILE_TMPDIR/visitors.pem" >"$BATS_TEST_TMPDIR/load" 3>&- &
  local load=$!
  await_line "$BATS_TEST_TMPDIR/load" '^began'
  for ((count = 1; count <= 60; count++)); do
    asks_for_renewal
    script setup --renew >"$BATS_TEST_TMPDIR/renew" 2>&1 || { cat "$BATS_TEST_TMPDIR/renew"; false; }
    grep -q 'a new certificate is served, without a reload' "$BATS_TEST_TMPDIR/renew"
  done
  kill "$load"
  wait "$load" || true
  run -0 tail -n 6 "$BATS_TEST_TMPDIR/load"
  assert_line --regexp '^[0-9]+ requests, [0-9]+ certificates, 0 failed$'
  assert [ "$(sed -nE 's/^[0-9]+ requests, ([0-9]+) certificates.*/\1/p' <<<"${lines[-1]}")" -ge 60 ]
  refute_output --regexp ', [1-9][0-9]* failed'
  assert_equal "$(workers)" "$before"
}
