# A real authority (pebble) with a DNS of its own, and certbot, each in a container in the network of a stack whose
# nginx runs alone.
# shellcheck shell=bash
# shellcheck disable=SC2154 # what helpers/site.bash sets
ACME_IMAGE=avril-acme:forky

# acme_start SECONDS: the authority; its certificates last so long.
acme_start() {
  docker run --detach --name "$STACK-authority" --label avril-test-acme --network "${STACK}_default" \
    --network-alias authority --volume "$BATS_FILE_TMPDIR/authority:/authority" \
    --entrypoint sh "$ACME_IMAGE" /authority/start.sh >/dev/null
}

# acme_files SECONDS: what the authority starts with
acme_files() {
  local folder=$BATS_FILE_TMPDIR/authority
  mkdir -p "$folder"
  cat >"$folder/start.sh" <<'SH'
cd /authority || exit
pebble-challtestsrv -dnsserver 127.0.0.1:8053 -doh '' -http01 '' -https01 '' -tlsalpn01 '' -management 127.0.0.1:8055 -defaultIPv4 '' -defaultIPv6 '' &
PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 PEBBLE_AUTHZREUSE=0 exec pebble -config config.json -dnsserver 127.0.0.1:8053
SH
  cat >"$folder/config.json" <<JSON
{ "pebble": { "listenAddress": "0.0.0.0:14000", "managementListenAddress": "127.0.0.1:15000", "certificate": "own.pem", "privateKey": "own.key",
  "httpPort": 80, "tlsPort": 443, "retryAfter": { "authz": 1, "order": 1 }, "profiles": { "default": { "description": "of the tests", "validityPeriod": $1 } } } }
JSON
  (
    cd "$folder" || exit
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj '/CN=root of the test' \
      -addext 'keyUsage=critical,keyCertSign,cRLSign' -out root.pem -keyout root.key
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=authority -out own.csr -keyout own.key
    openssl x509 -req -in own.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -out own.pem \
      -extfile <(echo subjectAltName=DNS:authority,IP:127.0.0.1)
    chmod a+r own.key
  ) 2>/dev/null
}

# acme_prepare SECONDS: the authority, and certbot, which sees the folder of the site under its own name.
acme_prepare() {
  acme_files "$1"
  docker run --detach --name "$STACK-certbot" --label avril-test-acme --network "${STACK}_default" \
    --volume "$BATS_FILE_TMPDIR:$BATS_FILE_TMPDIR" "$ACME_IMAGE" >/dev/null
  acme_start
  acme_await
}

acme_await() {
  inside_authority curl -sS -o /dev/null --cacert root.pem --retry 100 \
    --retry-all-errors https://127.0.0.1:14000/dir 2>/dev/null
  inside_authority curl -sSk https://127.0.0.1:15000/roots/0 >"$BATS_FILE_TMPDIR/visitors.pem"
}

inside_authority() { docker exec --workdir /authority --interactive "$STACK-authority" "$@" 3>&-; }

# resolves NAME ADDRESS: what the DNS says of a name from now on; without an address nothing; "broken": it fails. What
# the authority has validated for this site before counts no more.
resolves() {
  new_account
  tell_dns clear-servfail "{\"host\":\"$1.\"}"
  tell_dns clear-a "{\"host\":\"$1.\"}"
  case ${2:-} in
    '') ;;
    broken) tell_dns set-servfail "{\"host\":\"$1.\"}" ;;
    *) tell_dns add-a "{\"host\":\"$1.\",\"addresses\":[\"$2\"]}" ;;
  esac
}
# Pebble takes one of a hundred former validations again, also when told to take none (rand.Intn(100) > 0, in wfe.go of
# 2.4 to 2.10): an account that has none is sure.
new_account() {
  local folder=$PLAY/ssl/certbot
  [ -e "$folder/accounts" ] || return 0
  rm -r "$folder/accounts"
  certbot register --non-interactive --config-dir "$folder" --work-dir "$folder/work" --logs-dir "$folder/log" \
    --server "https://${AUTHORITY:-authority}:14000/dir" --email admin@avril.test --agree-tos --no-eff-email >/dev/null 2>&1
}
tell_dns() { inside_authority curl -fsS -o /dev/null -d "$2" "http://127.0.0.1:8055/$1"; }

address_of() {
  docker inspect --format "{{with index .NetworkSettings.Networks \"${STACK}_default\"}}{{.IPAddress}}{{end}}" "$1"
}

# Has the authority ask for a renewal of the certificate at once, as it does when it takes many back (ARI); certbot asks
# again only after hours, so these pass.
asks_for_renewal() {
  local folder=$PLAY/ssl/certbot
  node -e '
    const certificate = require("node:fs").readFileSync(process.argv[1], "utf8")
    const suggestedWindow = { start: "2026-01-01T00:00:00Z", end: "2026-01-02T00:00:00Z" }
    console.log(JSON.stringify({ certificate, ariResponse: JSON.stringify({ suggestedWindow }) }))' "$folder/live/avril.test/cert.pem" |
    inside_authority curl -fsSk -o /dev/null -d @- https://127.0.0.1:15000/set-renewal-info/
  hours_pass
}
hours_pass() { sed -i '/^ari_retry_after/d' "$PLAY/ssl/certbot/renewal/avril.test.conf"; }

acme_remove() {
  docker ps --all --quiet --filter label=avril-test-acme | xargs --no-run-if-empty docker rm --force >/dev/null
}
