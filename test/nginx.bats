#!/usr/bin/env bats
# The proxy: a real nginx in the image of docker-compose.yml, small servers behind it, asked through its published
# ports.

bats_require_minimum_version 1.5.0

setup_file() {
  export checkout project node_image nginx_image plain brief tls_http tls open quic policy
  policy="default-src 'self'; img-src 'self' data: https://*.example.org; report-uri /csp?a=b&c"
  checkout=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  load helpers/nginx.bash
  "$checkout/test/images.sh"
  node_image=$(image_of nuxt_profile)
  nginx_image=$(image_of nginx)
  remove_all
  docker network create --label "$project" "$project" >/dev/null
  upstream one phoenix minio
  upstream two nuxt_profile
  upstream three nuxt_booklet
  proxy plain localhost 100000 30
  proxy brief localhost 1 2 --env NGINX_PORT=8000
  proxy tls avril.test 1 30 --env WHOST_ALIASES=www.avril.test,avril.example --env "CONTENT_SECURITY_POLICY=$policy" \
    --env NGINX_LOG_DIR=/logs --volume "$BATS_FILE_TMPDIR/logs:/var/log/avril"
  proxy open www.example.org 20 10 --env WHOST_ALIASES=example.org --env REFERRER_POLICY= --env FRAME_OPTIONS=
  proxy again localhost 1 30
  proxy quic avril.test 100000 30 --publish 127.0.0.1::443/udp --env HTTP3=on --env NGINX_TLS_PORT=8443 \
    --env WHOST_ALIASES=www.avril.test
  # The host's own curl may be without HTTP/3.
  docker create --name "$project-client" --label "$project" --network host \
    --volume "$BATS_FILE_TMPDIR/a copy/quic/ssl:/ssl:ro" \
    --entrypoint sleep "$nginx_image" infinity >/dev/null
  certificate avril.test "$BATS_FILE_TMPDIR/a copy/tls/ssl"
  certificate avril.test "$BATS_FILE_TMPDIR/a copy/quic/ssl"
  docker start "$project-plain" "$project-brief" "$project-tls" "$project-open" "$project-again" "$project-quic" \
    "$project-client" >/dev/null
  await plain /
  await plain /mon-espace/
  await plain /ma-candidature-vae/
  await brief /
  await tls /
  await open /
  await again /
  await quic /
  plain=http://127.0.0.1:$(port_of plain 80)
  brief=http://127.0.0.1:$(port_of brief 80)
  tls_http=$(port_of tls 80)
  tls=$(port_of tls 443)
  quic=$(docker port "$project-quic" 443/udp | sed 's/.*://')
  open=$(port_of open 80)
}

teardown_file() {
  load helpers/nginx.bash
  remove_all
}

setup() {
  load ../node_modules/bats-support/load
  load ../node_modules/bats-assert/load
  load helpers/nginx.bash
}

# https ARGUMENTS…: curl with the test's certificate, for any name, to the port of the container. HTTP/1.1 leaves the
# names of headers as they are written.
https() {
  curl -sS -m 10 --http1.1 --cacert "$BATS_FILE_TMPDIR/a copy/tls/ssl/fullchain.pem" \
    --connect-to "::127.0.0.1:$tls" "$@"
}

# http3 ARGUMENTS…: the same by HTTP/3 and nothing else.
http3() {
  docker exec -i "$project-client" curl -sS -m 10 --http3-only -k --connect-to "::127.0.0.1:$quic" "$@"
}

status_of() {
  curl -s -m 10 -o /dev/null -w '%{http_code}' "$@"
}

@test "the configuration passes in both modes, and the health check names the mode" {
  for name in plain tls; do
    run -0 inside "$name" nginx -t -c /etc/nginx/avril/nginx.conf
    run -0 inside "$name" curl -fsS http://127.0.0.1:8081/nginx
    assert_output "$name"
  done
}

@test "the health check reads a page of an error as visitors do" {
  local errors="$BATS_FILE_TMPDIR/a copy/plain/nginx/errors"
  mapfile -t probe < <(docker compose --project-directory "$checkout" -f "$checkout/docker-compose.yml" config \
    --format json | node -e '
    console.log(JSON.parse(require("node:fs").readFileSync(0, "utf8")).services.nginx.healthcheck.test.slice(1).join("\n"))')
  run -0 inside plain "${probe[@]}"
  assert_output plain
  chmod 700 "$errors"
  run -22 inside plain "${probe[@]}"
  assert_output --partial 403
  chmod 755 "$errors"
}

@test "each route reaches its app with the path and the query untouched" {
  while read -r path name; do
    run -0 curl -fsS -m 5 "$plain$path"
    assert_equal "$(field name <<<"$output") $(field url <<<"$output")" "$name $path"
  done <<'ROUTES'
/ one
/a%20b//c?d=%2F&e=f one
/mon-espace/ two
/mon-espace/profil?x=1 two
/ma-candidature-vae/etape/2 three
/mon-espace-certificateur one
ROUTES
}

@test "a base path without its slash redirects, keeping the query, to no port of the container" {
  for path in /mon-espace /ma-candidature-vae; do
    run -0 curl -sS -m 5 -o /dev/null -w '%{http_code} %{redirect_url}' "$plain$path?a=b"
    assert_output "301 $plain$path/?a=b"
  done
}

# Headers that some framework or middleware takes for the truth; one a word.
CLAIMS='X-Forwarded-For X-Real-IP X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port X-Forwarded-Server X-Forwarded-Prefix X-Forwarded-SSL
  X-Forwarded-Scheme X-Forwarded-Protocol X-Forwarded-URI X-Forwarded-Method X-Forwarded-User X_Forwarded_For Forwarded Proxy
  X-Original-URL X-Original-Host X-Rewrite-URL X-HTTP-Method-Override X-HTTP-Method X-Method-Override X-Host X-URL-Scheme Front-End-Https
  True-Client-IP CF-Connecting-IP CF-Connecting-IPv6 Client-IP X-Client-IP X-Cluster-Client-IP Fastly-Client-IP Fly-Client-IP DO-Connecting-IP
  X-Azure-ClientIP X-Remote-IP X-Remote-Addr X-Originating-IP WL-Proxy-Client-IP X-AppEngine-User-IP CloudFront-Viewer-Address Remote-User'

@test "the app is told who asks, whatever the client claims" {
  local claims=()
  for name in $CLAIMS; do claims+=(-H "$name: claimed"); done
  run -0 curl -fsS -m 5 "${claims[@]}" "$plain/"
  refute_output --partial claimed
  assert_equal "$(field headers.x-forwarded-host <<<"$output") $(field headers.x-forwarded-port <<<"$output")" \
    "${plain#http://} ${plain##*:}"
  assert_equal "$(field headers.host <<<"$output")" "${plain#http://}"
  assert_equal "$(field headers.x-forwarded-proto <<<"$output")" http
  assert_equal "$(field headers.x-forwarded-for <<<"$output")" "$(field headers.x-real-ip <<<"$output")"
  assert_regex "$(field headers.x-request-id <<<"$output")" '^[0-9a-f]{32}$'
}

@test "a request that waits in a pause goes on as it came, by HTTP/1.1 and HTTP/2: the path as it was written, an upload whole" {
  local got=$BATS_TEST_TMPDIR/got sent=$BATS_TEST_TMPDIR/sent pids=() http
  head -c 4000000 /dev/urandom >"$sent"
  : >"$BATS_FILE_TMPDIR/a copy/tls/nginx/live/paused"
  run -0 inside tls curl -fsS -X POST http://127.0.0.1:8081/nginx/paused/phoenix
  assert_output true
  for http in http1.1 http2; do
    https "--$http" --data-binary "@$sent" -o "$got.$http" -w '%{http_code} %{http_version} %{time_total}' \
      https://avril.test/echo >"$got.$http.said" 3>&- &
    pids+=($!)
    https "--$http" -w '\n' 'https://avril.test/a%20b//c?d=%2F&e=f' >"$got.$http.url" 3>&- &
    pids+=($!)
  done
  # It is for one app alone, and not for the proof of a deploy.
  run -0 https -o /dev/null -w '%{http_code}' https://avril.test/mon-espace/
  assert_output 200
  run -0 inside tls curl -fsS -m 2 -o /dev/null http://127.0.0.1:8081/
  sleep 1
  inside tls curl -fsS -X DELETE http://127.0.0.1:8081/nginx/paused/phoenix
  rm "$BATS_FILE_TMPDIR/a copy/tls/nginx/live/paused"
  wait "${pids[@]}"
  for http in http1.1 http2; do
    assert_regex "$(cat "$got.$http.said")" "^200 ${http#http}(\.[0-9])? [1-9]"
    run -0 cmp "$sent" "$got.$http"
    assert_equal "$(field url <"$got.$http.url")" '/a%20b//c?d=%2F&e=f'
  done
}

@test "an office of forty that sends its forms in a pause waits, and nobody of it is refused" {
  local statuses=$BATS_TEST_TMPDIR/statuses pids=() count
  : >"$BATS_FILE_TMPDIR/a copy/open/nginx/live/paused"
  inside open curl -fsS -X POST http://127.0.0.1:8081/nginx/paused/phoenix
  for ((count = 0; count < 40; count++)); do
    curl -sS -m 20 -o /dev/null -w '%{http_code}\n' --data a=b "http://127.0.0.1:$open/" >>"$statuses" 3>&- &
    pids+=($!)
  done
  run timeout 20 bash -c \
    "until [ \$(ss -Hnt state established '( dport = :$open )' | wc -l) -ge 40 ] || [ -s '$statuses' ]; do sleep 0.1; done"
  inside open curl -fsS -X DELETE http://127.0.0.1:8081/nginx/paused/phoenix
  rm "$BATS_FILE_TMPDIR/a copy/open/nginx/live/paused"
  wait "${pids[@]}"
  run -0 sort -u "$statuses"
  assert_output 200
  # The limit for those who do not wait is as it was.
  drip "$open" 30 >"$BATS_TEST_TMPDIR/many" &
  local many=$!
  run timeout 20 bash -c "until [ \$(grep -c 429 '$BATS_TEST_TMPDIR/many') -ge 10 ]; do sleep 0.1; done"
  kill "$many"
  assert_success
}

# told ANSWER: what an app was told of who asks.
told() {
  node -p 'const { headers } = JSON.parse(process.argv[1]);
    ["host", "x-forwarded-proto", "x-forwarded-for", "x-real-ip"].map(name => headers[name]).join(" ")' "$1"
}

@test "an app that renders a page asks phoenix in its visitor's name, or in its own: the site's host and scheme, and the visitor's address" {
  local visitor own
  run -0 https https://avril.test/
  visitor=$(field headers.x-real-ip <<<"$output")
  own=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$project-two")
  run -0 https "https://avril.test/mon-espace/?through=$project-tls&spread"
  assert_equal "$(field url <<<"$output") $(told "$output")" "/api/v2 avril.test https $visitor $visitor"
  run -0 https "https://avril.test/mon-espace/?through=$project-tls"
  assert_equal "$(told "$output")" "avril.test https $own $own"
  # Visitors of a site on localhost use its port, and those of one that cannot know it, none.
  run -0 curl -fsS -m 5 "$brief/mon-espace/?through=$project-brief&spread"
  assert_equal "$(told "$output")" "localhost:8000 http $visitor $visitor"
  run -0 curl -fsS -m 5 "$plain/mon-espace/?through=$project-plain"
  assert_equal "$(told "$output")" "localhost http $own $own"
}

@test "on the inner ports what is forwarded is kept when it is well-formed, and nothing else" {
  local scheme for real expected self=127.0.0.1 ask=(inside tls curl -fsS -m 5 http://127.0.0.1:8081/)
  while IFS='|' read -r scheme for real expected; do
    run -0 "${ask[@]}" -H "X-Forwarded-Proto: $scheme" -H "X-Forwarded-For: $for" -H "X-Real-IP: $real" \
      -H 'Host: evil.test' \
      -H 'X-Forwarded-Host: evil.test' -H 'X-Forwarded-Port: 666' -H 'Forwarded: host=evil.test'
    assert_equal "$scheme|$for|$real|$(told "$output")" "$scheme|$for|$real|avril.test $expected"
    # The id of the request is random, and may have any digits.
    refute_output --regexp 'evil|"666"'
  done <<FORWARDED
|||https $self $self
http|203.0.113.7|203.0.113.7|http 203.0.113.7 203.0.113.7
https|203.0.113.7, 172.18.0.3,::ffff:172.18.0.4|203.0.113.7|https 203.0.113.7, 172.18.0.3,::ffff:172.18.0.4 203.0.113.7
https||2001:db8::7|https 2001:db8::7 2001:db8::7
https,http|2001:DB8::7|x|https 2001:DB8::7 2001:DB8::7
ftp|203.0.113.256|203.0.113.7|https $self $self
http x|203.0.113.7 evil|x|https $self $self
xhttp|203.0.113.7,|x|https $self $self
javascript:|unknown|evil"|https $self $self
FORWARDED
  # As in public, so that a proof of the deploy is answered as a visitor is.
  run -0 inside brief curl -fsS -m 5 http://127.0.0.1:8081/
  assert_equal "$(told "$output")" "localhost:8000 http $self $self"
}

@test "neither the version of nginx nor what the app is made with is told, and text is compressed" {
  run -0 curl -fsS -m 5 -D - -o /dev/null -H 'Accept-Encoding: gzip' "$plain/"
  assert_line --regexp '^Server: nginx.$'
  assert_line --regexp '^Content-Encoding: gzip.$'
  refute_output --partial X-Powered-By
  refute_output --partial X-Upstream
}

@test "the health of an app is not for the public, in any spelling" {
  for path in /healthcheck/ /healthcheck/x //healthcheck/ /%68ealthcheck/x /x/../healthcheck/ /static/healthcheck /static/healthcheck/x.y/..; do
    assert_equal "$path $(status_of --path-as-is "$plain$path")" "$path 404"
  done
  run -0 inside plain curl -fsS http://127.0.0.1:8081/healthcheck
  assert_equal "$(field url <<<"$output")" /healthcheck
}

@test "the monitors of others get one word, which no app says" {
  for path in /healthcheck //healthcheck /%68ealthcheck /x/../healthcheck '/healthcheck?x=y'; do
    run -0 curl -fsS -m 5 --path-as-is "$plain$path"
    assert_output ok
  done
  run -0 curl -fsS -m 5 -I "$plain/healthcheck"
  assert_line --regexp '^Content-Type: text/plain'
  assert_line --regexp '^Cache-Control: no-store.$'
  run -0 https https://avril.test/healthcheck
  assert_output ok
}

@test "an app that is gone gives a page in French that says when to come back" {
  for name in nobody "$project-three"; do
    live plain "$name:4999"
    run -0 curl -sS -m 10 -i "$plain/"
    assert_line --regexp '^HTTP/1.1 502'
    assert_line --regexp '^Retry-After: [0-9]+.$'
    assert_output --partial '<html lang="fr">'
    assert_output --partial 'Revenez dans une minute'
    refute_output --regexp '(src|href)="[^"]'
  done
  live plain
}

@test "an app's own errors pass through" {
  local code
  for code in 404 403 413 429 500 502 503; do
    run -0 curl -sS -m 5 -w '\n%{http_code}' "$plain/?status=$code"
    assert_line "$code"
    assert_output --partial '"name":"one"'
  done
}

@test "a body may have 10 MB and no more" {
  head -c 10485760 /dev/zero >"$BATS_TEST_TMPDIR/ten"
  run -0 curl -fsS -m 20 --data-binary @"$BATS_TEST_TMPDIR/ten" "$plain/"
  assert_equal "$(field body <<<"$output")" 10485760
  printf x >>"$BATS_TEST_TMPDIR/ten"
  run -0 curl -sS -m 20 -w '\n%{http_code}' --data-binary @"$BATS_TEST_TMPDIR/ten" "$plain/"
  assert_line 413
  assert_output --partial '10 Mo'
  run -0 https --http2 -w '\n%{http_code}' --data-binary @"$BATS_TEST_TMPDIR/ten" https://avril.test/
  assert_line 413
  assert_output --partial '10 Mo'
}

@test "POSTs are limited for each client, GETs are not, nor what the deploy asks from inside" {
  run -0 https --no-progress-meter -o /dev/null -w '%{http_code}\n' -X POST 'https://avril.test/mon-espace/[1-12]'
  # The burst of five and the first; a slow machine may let one or two more through.
  assert_equal "$(grep -c 200 <<<"${output}") at most 8" "$(grep -c 200 <<<"${output}" | sed 's/^[678]$/& at most 8/')"
  assert_line 429
  # Of several by one program one comes soon enough behind the others.
  run -0 https -i -d x 'https://avril.test/ma-candidature-vae/[1-12]'
  assert_line --regexp '^HTTP/1.1 429'
  assert_line --regexp '^Retry-After: 5'
  assert_output --partial 'Attendez cinq secondes'
  run -0 https -fo /dev/null 'https://avril.test/mon-espace/[1-12]'
  run -0 inside tls curl -fsS -o /dev/null -X POST 'http://127.0.0.1:8081/[1-12]'
}

@test "what changes something is limited as a POST is, whatever the method is called" {
  for method in PUT PATCH DELETE BREW; do
    run -0 curl -sS -m 10 --no-progress-meter -o /dev/null -w '%{http_code}\n' -X "$method" "$brief/mon-espace/[1-12]"
    assert_line 429
  done
}

# drip PORT COUNT: so many POSTs whose bodies come a byte at a time, until it is killed; a line for each that is begun,
# and for each that is answered its status.
drip() {
  exec node -e '
    const { connect } = require("node:net")
    const [port, count] = process.argv.slice(1).map(Number)
    for (const it of Array.from({ length: count }, () => connect(port, "127.0.0.1"))) {
      it.on("error", () => {}).on("data", chunk => console.log(String(chunk).split(" ")[1]))
      it.on("connect", () => it.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx", () => console.log("begun")))
      setInterval(() => it.writable && it.write("x"), 500)
    }' "$@" 3>&-
}

@test "IPv6: it listens there, and whoever has a whole network is one client" {
  local bridge from
  docker network create --label "$project" --ipv6 --subnet fd00:a5:b1::/48 "$project-v6" >/dev/null
  bridge="br-$(docker network inspect --format '{{slice .Id 0 12}}' "$project-v6")"
  for from in 1::1 1::2 2::1; do ip -6 address add "fd00:a5:b1:$from/48" dev "$bridge" nodad; done
  proxy six localhost 1 2
  docker network connect "$project-v6" "$project-six"
  docker start "$project-six" >/dev/null
  await six /
  # shellcheck disable=SC2016 # a template of docker's
  address=$(docker inspect --format "{{(index .NetworkSettings.Networks \"$project-v6\").GlobalIPv6Address}}" \
    "$project-six")
  # The networks' bursts of five.
  local statuses
  statuses=$(for from in 1::1 1::2 1::1 1::2 1::1 1::2 1::1 1::2 2::1; do
    curl -g -s -m 5 -o /dev/null -w '%{http_code} ' -d x --interface "fd00:a5:b1:$from" "http://[$address]/"
  done)
  docker rm --force "$project-six" >/dev/null
  docker network rm "$project-v6" >/dev/null
  assert_regex "$statuses" '^(200 ){6}(429 ){2}200 $'
}

@test "a client that drips its bodies holds twenty requests and no more, and leaves others and a slow honest line alone" {
  # Nineteen of its own, and half a megabyte by a line of 100 kB a second.
  drip "$open" 19 >"$BATS_TEST_TMPDIR/few" &
  local few=$!
  run timeout 20 bash -c "until [ \$(grep -c begun '$BATS_TEST_TMPDIR/few') -eq 19 ]; do sleep 0.1; done"
  head -c 500000 /dev/zero >"$BATS_TEST_TMPDIR/body"
  run curl -fsS -m 30 --limit-rate 100k --data-binary @"$BATS_TEST_TMPDIR/body" "http://127.0.0.1:$open/"
  assert_success
  assert_equal "$(field body <<<"$output")" 500000
  # With these still on the way it tries a hundred.
  drip "$open" 81 >"$BATS_TEST_TMPDIR/many" &
  local many=$!
  run timeout 20 bash -c "until [ \$(grep -c 429 '$BATS_TEST_TMPDIR/many') -ge 80 ]; do sleep 0.1; done"
  local meanwhile
  meanwhile=$(status_of "http://127.0.0.1:$open/")
  kill "$few" "$many"
  assert_success
  assert_equal "$meanwhile" 200
  assert_equal "$(grep -c 429 "$BATS_TEST_TMPDIR/many") $(grep -c 200 "$BATS_TEST_TMPDIR/many")" '80 0'
}

@test "HTTP/2: a body that drips without a length counts as one, too; what only reads does not" {
  live tls "$project-one:4000"
  # shellcheck disable=SC2016 # JavaScript
  node -e '
    const http2 = require("node:http2")
    const session = http2.connect(`https://127.0.0.1:${process.argv[1]}`, { rejectUnauthorized: false, servername: "avril.test" })
    const seen = { POST: {}, GET: {} }
    let open = 60
    for (const method of ["POST", "GET"])
      for (let index = 0; index < 30; index += 1) {
        const stream = session.request({ ":method": method, ":path": "/mon-espace/?ms=1500", ":authority": "avril.test" }, { endStream: method === "GET" })
        stream.on("response", headers => { seen[method][headers[":status"]] = (seen[method][headers[":status"]] ?? 0) + 1 })
        stream.on("error", () => {}).resume()
        const done = () => { open -= 1; if (open === 0) { console.log(JSON.stringify(seen)); process.exit() } }
        stream.on("close", done)
        if (method === "POST") setTimeout(() => stream.end("x"), 1000)
      }' "$tls" >"$BATS_TEST_TMPDIR/seen"
  run -0 cat "$BATS_TEST_TMPDIR/seen"
  # The burst of POSTs is six; none of those that read is refused.
  assert_output --regexp '^\{"POST":\{.*"429":2[0-9].*\},"GET":\{"200":30\}\}$'
  live tls
}

@test "HTTP/2: cookies that are too many together get the page that says what to do; an app that offers another protocol is no error" {
  local cookies=() index
  for index in 1 2 3 4 5; do cookies+=(-H "Cookie: a$index=$(printf '%04000d' 0)"); done
  for version in --http1.1 --http2; do
    run -0 https "$version" -w '\n%{http_code}' "${cookies[@]}" https://avril.test/
    assert_line 400
    assert_output --partial 'Effacez les cookies de ce site'
  done
  run -0 https --http2 -w '\n%{http_code}' 'https://avril.test/?upgrade'
  assert_line 200
  run ! curl -sS -m 5 --http2-prior-knowledge -o /dev/null "http://127.0.0.1:$tls_http/"
}

@test "cookies that are too large, an address that is too long, what is no request: a page in French that says what to do" {
  local long code words request
  # shellcheck disable=SC2034 # for the lines below
  long=$(printf '%020000d' 0)
  while IFS='|' read -r code words request; do
    eval "set -- $request"
    run -0 curl -sS -m 5 -w '\n%{http_code}' "$@"
    assert_line "$code"
    assert_output --partial "$words"
  done <<'REQUESTS'
400|Effacez les cookies de ce site|-H "Cookie: a=$long" "$plain/"
400|Effacez les cookies de ce site|-H "Cookie: a=$long" "http://127.0.0.1:$tls_http/"
414|Cette adresse est trop longue|"$plain/?$long"
400|n’a pas été comprise|-H 'Host: a/b' "$plain/"
REQUESTS
}

@test "a client that is refused while it is still sending gets the whole page all the same" {
  # shellcheck disable=SC2016 # for node
  run -0 node -e '
    const net = require("node:net"), [port] = process.argv.slice(1), begin = "GET /?" + "x".repeat(20000)
    const socket = net.connect(port, "127.0.0.1", () => socket.write(begin))
    socket.pause()
    // By then it has been answered.
    setTimeout(() => { socket.write("x".repeat(40000)); setTimeout(() => socket.pipe(process.stdout), 300) }, 300)
    socket.on("error", error => console.log(error.code))' "${plain##*:}"
  assert_output --partial 'Cette adresse est trop longue'
  assert_output --partial '</html>'
}

@test "an object is served by its full name, with none of the store's headers and none of the client's" {
  run -0 curl -sS -m 5 -i -H 'Authorization: AWS x' -H 'Cookie: a=b' -H 'Host: other-bucket.minio' -H 'x-amz-acl: y' \
    "$plain/files/a/b%20c%3Fd%23.pdf?versionId=1&response-content-type=text/html"
  assert_line --regexp '^HTTP/1.1 200'
  refute_output --regexp 'secret|versionId|AWS x|a=b|other-bucket|x-amz-acl'
  refute_output --partial Content-Security-Policy
  assert_equal "$(grep -ic '^Cache-Control' <<<"$output")" 1
  assert_line --regexp '^Cache-Control: private.$'
  local body=${lines[-1]}
  assert_equal "$(field name <<<"$body") $(field url <<<"$body")" 'one /test-bucket/a/b%20c%3Fd%23.pdf'
  assert_equal "$(field headers.host <<<"$body")" minio:9000
  run -0 curl -sS -m 5 -I "$plain/files/a/b.html"
  assert_line --regexp "^Content-Security-Policy: default-src 'none'; sandbox"
  assert_line --regexp '^X-Content-Type-Options: nosniff'
  for type in application/pdfx application/pdf+xml text/html; do
    run -0 curl -sS -m 5 -I "$plain/files/typed/${type/\//_}"
    assert_line --regexp "^Content-Security-Policy: default-src 'none'; sandbox"
  done
  assert_equal "$(status_of -r 0-3 "$plain/files/a.pdf")" 206
  run -0 curl -sS -m 5 -w '\n%{http_code}' -r 99- "$plain/files/a.pdf"
  assert_line 416
  refute_output --partial secret
}

@test "nothing lists the bucket, leaves it, or tells why an object is not to be had" {
  local path
  for path in / '/?list-type=2' '/?prefix=a' '?list-type=2' // /. /./ /%2e /%2F /a/.. /a/ '/a/?list-type=2' /x/../../files/ \
    /a%0Ab /a%0d%0aX-Evil:%20b /%0d%0aHost:%20evil/ /a%00b /missing.pdf /forbidden.pdf /answer-{400,405,409,410,412,414,429}.pdf /../healthcheck/ /%2e%2e/healthcheck/; do
    run -0 curl -sS -m 5 --path-as-is -w '\n%{http_code}' "$plain/files$path"
    assert_regex "$path ${lines[-1]}" ' (404|400|405|301)$'
    refute_output --regexp 'ListBucketResult|secret|"name"'
  done
  # Not above the bucket: what is left of such a path belongs to the site.
  for path in /files/../other-bucket/a /files/%2e%2e/other-bucket/a /files/a/../../other-bucket/a; do
    run -0 curl -fsS -m 5 --path-as-is "$plain$path"
    assert_equal "$(field headers.host <<<"$output")" "${plain#http://}"
  done
  run -0 curl -fsS -m 5 --path-as-is "$plain/files/%252e%252e/other-bucket/a"
  assert_equal "$(field url <<<"$output")" /test-bucket/%252e%252e/other-bucket/a
  run -0 curl -fsS -m 5 --path-as-is "$plain/files/a%0dX-Evil:%20b"
  assert_equal "$(field url <<<"$output")" /test-bucket/a%0DX-Evil:%20b
}

@test "an object can be read and nothing else" {
  for method in POST PUT DELETE PATCH OPTIONS PROPFIND; do
    assert_equal "$method $(status_of -X "$method" "$plain/files/a.pdf")" "$method 405"
  done
  assert_equal "$(status_of -I "$plain/files/a.pdf")" 200
}

@test "static files are served without a listing" {
  cd "$BATS_FILE_TMPDIR/a copy/plain/nginx/static"
  mkdir -p css .well-known/acme-challenge
  echo 'p {}' >css/app.css
  echo secret >.hidden
  echo token >.well-known/acme-challenge/token
  run -0 curl -fsS -m 5 "$plain/static/css/app.css?vsn=d"
  assert_output 'p {}'
  for path in /static/ /static/css/ /static/.hidden /static/none /static/css/../.hidden; do
    assert_equal "$path $(status_of --path-as-is "$plain$path")" "$path 404"
  done
  run -0 curl -sS -m 5 "$plain/static/none"
  assert_output --partial '<title>Cette page '
  run -0 curl -fsS -m 5 "$plain/.well-known/acme-challenge/token"
  assert_output token
  # A name that is decoded has line ends, and would write lines of its own into the log.
  assert_equal "$(status_of "$plain/.well-known/acme-challenge/%0aforged%20line")" 404
  run -0 docker logs "$project-plain"
  refute_output --partial 'forged line'
}

@test "a static file that is not in the folder is the app's own, and nothing else of the app is below /static/" {
  while read -r path expected; do
    run -0 curl -fsS -m 5 --path-as-is "$plain$path"
    assert_equal "$(field name <<<"$output") $(field url <<<"$output")" "one $expected"
  done <<'FILES'
/static/css/site-0a1b.css?vsn=d /css/site-0a1b.css?vsn=d
/static/robots.txt /robots.txt
/static/images/a%20b%3Fc%23.svg /images/a%20b%3Fc%23.svg
FILES
  echo 'in the folder' >"$BATS_FILE_TMPDIR/a copy/plain/nginx/static/robots.txt"
  run -0 curl -fsS -m 5 "$plain/static/robots.txt"
  assert_output 'in the folder'
  for path in /static /static/mon-compte /static/a.b/ /static/.env /static/a/.git/config.txt /static/x. /static/healthcheck /static/a.b/healthcheck \
    /static/../healthcheck/ /static/%2e%2e/healthcheck/; do
    run -0 curl -sS -m 5 --path-as-is -w '\n%{http_code}' "$plain$path"
    # Without a slash it is a path of the app, as any other.
    if [ "$path" = /static ]; then assert_line 200; else assert_equal "$path ${lines[-1]}" "$path 404"; fi
  done
  assert_equal "$(status_of -X POST "$plain/static/css/site.css") $(status_of -X POST "$plain/static/robots.txt")" \
    '405 405'
}

@test "a file named after its content outlives the release that had it, for every browser; what is not for everybody and for ever does not" {
  local forever='public,%20max-age=31536000' file
  for file in /mon-espace/_nuxt/0a1b2c3.js /css/app-0123456789abcdef0123456789abcdef.css; do
    run -0 curl -fsS -m 5 --compressed "$plain$file?cache=$forever"
    assert_equal "$(field headers.accept-encoding <<<"$output")" undefined
    run -0 curl -fsS -m 5 "$plain$file?status=404"
    assert_equal "$(field url <<<"$output")" "$file?cache=$forever"
    assert_equal "$(status_of -X POST "$plain$file?status=404") $(status_of \
      "$plain/ma-candidature-vae$file?status=404")" '404 404'
  done
  for file in "profil?cache=$forever" _nuxt/1.js?cache=private _nuxt/2.js?cache=public,%20max-age=60 _nuxt/3.js; do
    assert_equal "$(status_of "$plain/mon-espace/$file") $(status_of "$plain/mon-espace/${file%\?*}?status=404")" \
      '200 404'
  done
}

@test "what a deploy has taken out of an image is served by nginx: for ever, compressed, with its policies; a link is not followed" {
  local assets="$BATS_FILE_TMPDIR/a copy/plain/nginx/assets"
  mkdir -p "$assets/mon-espace/_nuxt" "$assets/css"
  printf 'let taken = 1' >"$assets/mon-espace/_nuxt/taken.js"
  printf 'let taken = 1' | gzip >"$assets/mon-espace/_nuxt/taken.js.gz"
  echo 'a {}' >"$assets/css/app-0123456789abcdef0123456789abcd00.css"
  echo 'a {}' >"$assets/css/app.css"
  ln -s /etc/passwd "$assets/mon-espace/_nuxt/link.js"
  run -0 curl -fsS -m 5 -D "$BATS_TEST_TMPDIR/head" --compressed "$plain/mon-espace/_nuxt/taken.js?x=1"
  assert_output 'let taken = 1'
  run -0 tr -d '\r' <"$BATS_TEST_TMPDIR/head"
  assert_line 'Cache-Control: public, max-age=31536000, immutable'
  assert_line 'Content-Encoding: gzip'
  assert_line 'Vary: Accept-Encoding'
  assert_line --regexp '^Content-Type: (application|text)/javascript'
  assert_line 'Referrer-Policy: strict-origin-when-cross-origin'
  run -0 curl -fsS -m 5 "$plain/css/app-0123456789abcdef0123456789abcd00.css"
  assert_output 'a {}'
  # Not by another app's path, and nothing whose name does not say what is in it: the app is asked.
  run -0 curl -fsS -m 5 "$plain/css/app.css"
  assert_equal "$(field url <<<"$output")" /css/app.css
  run -0 curl -fsS -m 5 "$plain/ma-candidature-vae/_nuxt/taken.js"
  assert_equal "$(field url <<<"$output")" /ma-candidature-vae/_nuxt/taken.js
  run curl -sS -m 5 -w '\n%{http_code}' "$plain/mon-espace/_nuxt/link.js"
  refute_output --partial root:
  assert_equal "$(status_of -X POST "$plain/mon-espace/_nuxt/taken.js")" 405
  assert_equal "$(status_of --path-as-is "$plain/mon-espace/_nuxt/../../../routes.conf")" 400
}

@test "a file named after its content is asked of an instance of the other release, while there are two" {
  local id
  live plain "$project-two:4000=a" "$project-two:4000=a" "$project-one:4000=b"
  # The id of the request is random.
  for id in {1..8}; do
    run -0 curl -fsS -m 5 "$plain/css/app-abcdefabcdefabcdefabcdefabcdef0$id.css?only=one"
    assert_equal "$(field name <<<"$output")" one
  done
  for id in {1..8}; do
    assert_equal "$(status_of "$plain/css/app-0000000000000000000000000000000$id.css?only=nobody")" 404
  done
  live plain "$project-two:4000=a"
  assert_equal "$(status_of "$plain/css/app.css?only=one") $(status_of \
    "$plain/css/app-00000000000000000000000000000001.css?only=one")" '404 404'
  live plain
  run -0 inside plain curl -fsS http://127.0.0.1:8081/nginx/live/phoenix
  assert_output '{"route":{"upstreams":[]},"open":{},"waiting":{}}'
}

# headers_of ARGUMENTS…: the three policies of an answer, one a line, sorted.
headers_of() {
  https -o /dev/null -D - "$@" | tr -d '\r' |
    grep -iE '^(Content-Security-Policy|Referrer-Policy|X-Frame-Options):' | sort
}

@test "the policies are on what the apps and nginx answer, an app's own win, and files keep theirs" {
  local ours="Content-Security-Policy: $policy
Referrer-Policy: strict-origin-when-cross-origin
X-Frame-Options: SAMEORIGIN"
  local path
  # A page of an app, its errors, a file, nginx's own pages (one made after the store has answered), a redirect.
  echo x >"$BATS_FILE_TMPDIR/a copy/tls/nginx/static/file.txt"
  for path in / /mon-espace/ '/?status=404' '/?status=500' /static/file.txt /static/none /healthcheck/x /healthcheck /files/missing.pdf /files/ /mon-espace; do
    assert_equal "$path: $(headers_of "https://avril.test$path")" "$path: $ours"
  done
  assert_equal "$(headers_of "http://avril.test/" --connect-to "::127.0.0.1:$tls_http")" "$ours"
  assert_equal "$(headers_of 'https://avril.test/?policies')" "content-security-policy: default-src 'own'
referrer-policy: no-referrer
x-frame-options: DENY"
  assert_equal "$(headers_of https://avril.test/files/a.html)" "Content-Security-Policy: default-src 'none'; sandbox
Referrer-Policy: strict-origin-when-cross-origin
X-Frame-Options: SAMEORIGIN"
  assert_equal "$(headers_of https://avril.test/files/a.pdf)" "Referrer-Policy: strict-origin-when-cross-origin
X-Frame-Options: SAMEORIGIN"
  run -0 curl -sS -m 5 -o /dev/null -D - "$plain/"
  refute_output --partial Content-Security-Policy
  assert_line --regexp '^Referrer-Policy: strict-origin-when-cross-origin.$'
  run -0 curl -sS -m 5 -o /dev/null -D - "http://127.0.0.1:$open/"
  refute_output --regexp 'Content-Security-Policy|Referrer-Policy|X-Frame-Options'
}

@test "another name of the site redirects to it, by http and https, and answers a renewal" {
  local name
  for name in www.avril.test avril.example WWW.avril.test; do
    run -0 https -k -o /dev/null -D - "https://$name/a%20b/c?d=e&f=%2F"
    assert_line --regexp '^HTTP/1.1 301'
    assert_line --regexp '^Location: https://avril.test/a%20b/c\?d=e&f=%2F.$'
    refute_output --partial Strict-Transport-Security
    run -0 curl -sS -m 5 -o /dev/null -w '%{http_code} %{redirect_url}' -H "Host: $name" \
      "http://127.0.0.1:$tls_http/a?b=c"
    assert_output '301 https://avril.test/a?b=c'
  done
  run -0 curl -sS -m 5 -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: example.org' \
    "http://127.0.0.1:$open/a?b=c"
  assert_output '301 http://www.example.org/a?b=c'
  for name in www.example.org 127.0.0.1 other.example.org; do
    assert_equal "$name $(status_of -H "Host: $name" "http://127.0.0.1:$open/")" "$name 200"
  done
  mkdir -p "$BATS_FILE_TMPDIR/a copy/"{open,tls}/nginx/static/.well-known/acme-challenge
  echo token | tee "$BATS_FILE_TMPDIR/a copy/"{open,tls}/nginx/static/.well-known/acme-challenge/alias
  run -0 curl -fsS -m 5 -H 'Host: example.org' "http://127.0.0.1:$open/.well-known/acme-challenge/alias"
  assert_output token
  run -0 https -k https://www.avril.test/.well-known/acme-challenge/alias
  assert_output token
}

# What the two say, each in turn: ask_both PATH [OPTION OF curl …]
ask_both() {
  local name path=$1
  shift
  for name in follower first; do inside "$name" curl -sS -m 10 "$@" "http://127.0.0.1$path"; done
}

@test "in a Swarm the nginx of each node answers the authority, has the files of former releases, and shows the page with its message" {
  local folder="$BATS_FILE_TMPDIR/a copy/first/nginx" file=/css/app-00000000000000000000000000000001.css
  proxy first localhost 100000 30 --env SWARM_ROLE=first --network-alias first.avril-nginx
  proxy follower localhost 100000 30 --env SWARM_ROLE=other --env SWARM_NODE=b
  docker start "$project-first" >/dev/null
  await first /
  docker start "$project-follower" >/dev/null
  await follower /
  mkdir -p "$folder/acme/.well-known/acme-challenge" "$folder/assets/css"
  echo token >"$folder/acme/.well-known/acme-challenge/asked"
  run -0 ask_both /.well-known/acme-challenge/asked
  assert_output $'token\ntoken'
  echo 'a {}' >"$folder/assets$file"
  run -0 ask_both "$file" -w '%{http_code} %header{cache-control}\n'
  assert_output $'a {}\n200 public, max-age=31536000, immutable\na {}\n200 public, max-age=31536000, immutable'
  # What no deploy has taken out of an image is the app's.
  run -0 ask_both /css/app-00000000000000000000000000000002.css
  assert_equal "$(grep -o '"name":"one"' <<<"$output" | wc -l)" 2
  echo '<p>Retour à midi.</p>' >"$folder/live/maintenance.html"
  echo '{"url":null,"message":"x","until":null,"allow":[]}' >"$folder/live/maintenance.json"
  inside first curl -fsS -o /dev/null -X POST http://127.0.0.1:8081/nginx/maintenance
  run -0 inside follower sh \
    -c 'for try in 1 2 3 4 5 6 7 8 9 10; do curl -sS http://127.0.0.1/ | grep -q midi && break; sleep 0.5; done'
  run -0 ask_both / -w '%{http_code}\n'
  assert_output $'<p>Retour à midi.</p>\n503\n<p>Retour à midi.</p>\n503'
}

@test "log files: without query strings, reopened after a rotation, and none where none are wanted" {
  local logs=$BATS_FILE_TMPDIR/logs
  https -fo /dev/null -e 'http://x/?jeton=s3cret' 'https://avril.test/before?jeton=s3cret'
  # An error that nginx has words for.
  https -o /dev/null -H 'Content-Length: 99999999' 'https://avril.test/large?jeton=s3cret' || true
  # A request is logged when it has ended, which may be after its answer.
  run -0 timeout 10 bash -c "until grep -q /large '$logs/access.log'; do sleep 0.1; done"
  run -0 cat "$logs/access.log"
  assert_output --partial 'GET avril.test /before HTTP/1.1 200'
  assert_output --partial ' /large HTTP/1.1 413'
  run -0 grep -c . "$logs/error.log"
  run -1 grep -r s3cret "$logs"
  run -0 stat -c %a "$logs/access.log"
  assert_output 640
  # As logrotate does it. Not by docker kill: the engine would take nginx for stopped by hand, and not start it again
  # after a reboot.
  for file in access error; do
    mv "$logs/$file.log" "$logs/$file.log.1"
    install -m 0640 /dev/null "$logs/$file.log"
  done
  run -0 inside tls nginx -c /etc/nginx/avril/nginx.conf -s reopen
  # The workers reopen after their master.
  run -0 timeout 5 bash -c \
    "until curl -sko /dev/null --http1.1 --connect-to ::127.0.0.1:$tls https://avril.test/after && grep -q /after '$logs/access.log'; do sleep 0.1; done"
  inside tls /etc/nginx/avril/reload.sh
  run -0 grep -c reconfiguring "$logs/error.log"
  run -0 docker logs "$project-tls"
  assert_output --partial ' /after HTTP/1.1 200'
  # A restart may be needed when the disk is gone.
  run -0 docker exec --env NGINX_LOG_DIR=/gone "$project-plain" /docker-entrypoint.d/10-settings.sh
  assert_output --partial 'avril: NGINX_LOG_DIR (/gone) cannot be written to'
  run -0 inside plain /docker-entrypoint.d/10-settings.sh
  run -1 inside plain grep -r /var/log/avril /run/avril
}

@test "a websocket may be silent for longer than a page may take" {
  sed -i 's/^proxy_read_timeout 90s/proxy_read_timeout 1s/' "$BATS_FILE_TMPDIR/a copy/plain/nginx/proxy_defaults.conf"
  inside plain /etc/nginx/avril/reload.sh
  run -0 node --import tsx "$checkout/test/helpers/websocket_client.ts" "${plain/http/ws}/live/websocket?vsn=2" 1600
  assert_output 'hello open'
  run -0 curl -sS -m 5 -i "$plain/?ms=1600"
  assert_line --regexp '^HTTP/1.1 504'
  assert_line --regexp '^Retry-After: '
  sed -i 's/^proxy_read_timeout 1s/proxy_read_timeout 90s/' "$BATS_FILE_TMPDIR/a copy/plain/nginx/proxy_defaults.conf"
  inside plain /etc/nginx/avril/reload.sh
}

@test "the log has no query string" {
  run -0 curl -fsS -m 5 -o /dev/null -e 'http://x/?jeton=s3cret' "$plain/vu?jeton=s3cret"
  run -0 docker logs "$project-plain"
  assert_output --partial 'GET 127.0.0.1 /vu HTTP/1.1 200'
  refute_output --partial s3cret
}

@test "nobody but the container itself reaches port 8081" {
  run -7 inside tls curl -sS -m 5 "http://$project-plain:8081/nginx"
  run -0 inside plain curl -fsS -D - -o /dev/null http://127.0.0.1:8081/mon-espace/
  assert_line --regexp '^X-Upstream: [0-9.]+:3000.$'
}

# An nginx that is started again, and has another port then.
again() { printf 'http://127.0.0.1:%s' "$(port_of again 80)"; }
restart_again() {
  docker restart --time 5 "$project-again"
  await again /
}

@test "a switch moves all traffic at once, and requests on an open connection with it; neither a reload nor a new start undoes it" {
  local address
  live again "$project-two:4000" "$project-three:4000"
  run -0 curl -fsS -m 10 "$(again)/[1-20]"
  assert_output --partial '"name":"two"'
  assert_output --partial '"name":"three"'
  refute_output --partial '"name":"one"'
  live again "$project-three:4000"
  address=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$project-three")
  local again
  for again in '' /etc/nginx/avril/reload.sh restart; do
    if [ "$again" = restart ]; then
      restart_again
    elif [ -n "$again" ]; then
      inside again "$again"
    fi
    run -0 curl -fsS -m 10 "$(again)/[1-20]"
    assert_equal "$(grep -o '"name":"three"' <<<"$output" | wc -l)" 20
    run -0 inside again curl -fsS -D - -o /dev/null http://127.0.0.1:8081/
    assert_line --regexp "^X-Upstream: $address:4000.\$"
  done
}

@test "what becomes of the file changes nothing while nginx runs; a damaged one is never taken up, and hides nobody at a start" {
  local file="$BATS_FILE_TMPDIR/a copy/again/nginx/live/phoenix.json" damage
  live again "$project-three:4000"
  for damage in '{"upstreams":[{"address"' '{}' '' '[]' null '{"upstreams":[null]}' '{"upstreams":[{"address":7}]}' '{"upstreams":[{"address":"x;y"}]}' '{"upstreams":[],"former":"x"}'; do
    printf '%s' "$damage" >"$file"
    run -22 inside again curl -sS --fail-with-body -X POST http://127.0.0.1:8081/nginx/live/phoenix
    assert_output --partial 'live/phoenix.json cannot be read'
    run -0 curl -fsS -m 5 "$(again)/"
    assert_equal "$(field name <<<"$output")" three
  done
  rm "$file"
  run -0 curl -fsS -m 5 "$(again)/"
  assert_equal "$(field name <<<"$output")" three
  # A release that was observed is no certain thing after a start.
  printf '{"upstreams":[{"address":"%s:4000"}],"former":[{"address":"%s:4000"}]}' "$project-one" "$project-two" >"$file"
  restart_again
  run -0 curl -fsS -m 5 "$(again)/"
  assert_equal "$(field name <<<"$output")" two
  echo damaged >"$file"
  restart_again
  run -0 curl -fsS -m 5 "$(again)/"
  assert_equal "$(field name <<<"$output")" one
  run -0 docker logs "$project-again"
  assert_output --partial "live/phoenix.json cannot be read, so phoenix is asked by its service's name"
  printf '{"upstreams":[{"address":"%s:4000"}]}' "$project-two" >"$file"
  run -0 curl -fsS -m 5 "$(again)/"
  assert_equal "$(field name <<<"$output")" two
  live again
}

@test "a worker that crashes forgets nothing, and holds up one drain at most" {
  live brief "$project-one:4000"
  curl -sS -m 20 -o /dev/null "$brief/?ms=10000" 3>&- &
  local slow=$!
  timeout 10 bash -c "until docker exec $project-brief curl -sS http://127.0.0.1:8081/nginx/live/phoenix | grep -q '\"open\":{\"$project-one:4000\":1}'; do sleep 0.05; done"
  # shellcheck disable=SC2016 # for the shell in the container
  inside brief sh -c 'kill -9 $(grep -lszx "nginx: [w]orker process" /proc/[0-9]*/cmdline | cut -d / -f 3)'
  wait "$slow" || true
  timeout 10 bash -c "until curl -fsS -o /dev/null '$brief/'; do sleep 0.1; done"
  run -0 curl -fsS -m 5 "$brief/"
  assert_equal "$(field name <<<"$output")" one
  live brief "$project-two:4000"
  run -0 inside brief curl -fsS http://127.0.0.1:8081/nginx/drained/phoenix
  assert_output 1
  run -0 inside brief curl -fsS http://127.0.0.1:8081/nginx/drained/phoenix
  assert_output 0
  live brief
}

# A body of 50 bytes that comes within about five seconds, to phoenix: slow_upload URL
slow_upload() {
  head -c 50 /dev/zero | curl -sS -m 20 --limit-rate 10 --data-binary @- -H 'Content-Length: 50' "$1" 3>&-
}

@test "drained means that every request has ended which was given to a former instance: slow ones, uploads whose body is still coming, websockets" {
  live open "$project-one:4000"
  local url="http://127.0.0.1:$open" kind jobs=() count=0
  # The one first that takes long to begin.
  for kind in websocket upload slow; do
    case $kind in
      slow) curl -fsS -o "$BATS_TEST_TMPDIR/$kind" "$url/?ms=3000" 3>&- & ;;
      upload) slow_upload "$url/" >"$BATS_TEST_TMPDIR/$kind" 3>&- & ;;
      websocket) node --import tsx "$checkout/test/helpers/websocket_client.ts" "${url/http/ws}/live/websocket" \
        5000 >"$BATS_TEST_TMPDIR/$kind" 3>&- & ;;
    esac
    jobs+=($!)
    count=$((count + 1))
    timeout 20 bash -c "until docker exec $project-open curl -sS http://127.0.0.1:8081/nginx/live/phoenix | grep -q '\"open\":{\"$project-one:4000\":$count}'; do sleep 0.05; done"
  done
  run -0 inside open curl -fsS http://127.0.0.1:8081/nginx/live/phoenix
  assert_output --partial "\"waiting\":{\"$project-one:4000\":2}"
  live open "$project-two:4000"
  run -0 curl -fsS -m 5 "$url/"
  assert_equal "$(field name <<<"$output")" two
  run -0 inside open curl -fsS http://127.0.0.1:8081/nginx/drained/phoenix
  assert_output 0
  # Nothing holds the instance up any more.
  for job in "${jobs[@]}"; do run -0 timeout 10 tail --pid="$job" --sleep-interval=0.1 -f /dev/null; done
  assert_equal "$(field name <"$BATS_TEST_TMPDIR/slow") $(field body <"$BATS_TEST_TMPDIR/upload") $(cat \
    "$BATS_TEST_TMPDIR/websocket")" 'one 50 hello open'
  live open
}

# Nothing is open any more that a former instance was given.
assert_drained() {
  run -0 inside "$1" curl -fsS http://127.0.0.1:8081/nginx/drained/phoenix
  assert_output 0
  run -0 inside "$1" curl -fsS http://127.0.0.1:8081/nginx/live/phoenix
  assert_output --partial '"open":{}'
}

@test "a client that has gone, a request without an end, an error: nothing stays counted" {
  live plain "$project-one:4000"
  curl -sS -m 0.3 -o /dev/null "$plain/?ms=2000" || true
  drip "${plain##*:}" 3 >"$BATS_TEST_TMPDIR/drips" &
  local drips=$!
  timeout 20 bash -c "until [ \$(grep -c begun '$BATS_TEST_TMPDIR/drips') -eq 3 ]; do sleep 0.1; done"
  kill "$drips"
  for path in /css/app-00000000000000000000000000000002.css?only=nobody /?status=500 /static/none.css /static/css/x.css '/mon-espace/_nuxt/9.js?status=404'; do
    status_of "$plain$path" >/dev/null
  done
  head -c 11000000 /dev/zero | curl -sS -o /dev/null --data-binary @- "$plain/" || true
  live plain "$project-two:4000"
  assert_drained plain
  live plain
}

@test "reload.sh ends when the old workers accept no more, drained.sh when they are gone" {
  # 01 is ESTABLISHED, 0FA0 is 4000: both have reached the app.
  node --import tsx "$checkout/test/helpers/websocket_client.ts" "${brief/http/ws}/live/websocket" 60000 3>&- &
  local client=$!
  # shellcheck disable=SC2016 # for the shell in the container
  inside brief timeout 40 sh -c 'for count in 1 2; do
    until [ "$(grep -c ":0FA0 01" /proc/net/tcp)" -ge "$count" ]; do sleep 0.05; done
    echo "$count"
  done' >"$BATS_TEST_TMPDIR/reached" 3>&- &
  local reached=$!
  run -0 timeout 30 bash -c "until grep -q 1 '$BATS_TEST_TMPDIR/reached'; do sleep 0.05; done"
  curl -fsS -o /dev/null "$brief/?ms=1500" 3>&- &
  local slow=$!
  wait "$reached"
  inside brief /etc/nginx/avril/reload.sh
  run -0 inside brief /etc/nginx/avril/drained.sh
  wait "$slow"
  run -1 inside brief sh -c 'grep -la "^nginx: worker process [i]s" /proc/[0-9]*/cmdline'
  kill "$client" 2>/dev/null || true
}

@test "ten reloads under load reset no connection" {
  coproc LOAD {
    node --import tsx "$checkout/test/load/load.ts" --url "$plain" --rate 150 --slow 0 --websocket 0 \
      --until-stdin-closes \
      >"$BATS_TEST_TMPDIR/report" 2>/dev/null 3>&-
  }
  local load=$LOAD_PID input=${LOAD[1]}
  sleep 1.5
  for _ in {1..10}; do inside plain /etc/nginx/avril/reload.sh; done
  exec {input}>&-
  wait "$load"
  run -0 cat "$BATS_TEST_TMPDIR/report"
  assert_line --regexp '^0 of [0-9]+ requests failed'
}

@test "TLS: the right certificate, HTTP/2, HSTS, and the app is told" {
  run -0 https --http2 -D - -w '\n%{http_version}' https://avril.test/mon-espace/x
  assert_line 2
  assert_line --regexp '^strict-transport-security: max-age=63072000.$'
  run -0 https -D "$BATS_TEST_TMPDIR/headers" -w '\n%{http_version}' https://avril.test/mon-espace/x
  assert_line 1.1
  assert_equal "$(head -n 1 <<<"$output" | field headers.x-forwarded-proto)" https
  assert_equal "$(head -n 1 <<<"$output" | field headers.host)" avril.test
  run -0 cat "$BATS_TEST_TMPDIR/headers"
  assert_line --regexp '^Strict-Transport-Security: max-age=63072000.$'
  run -0 https -i "https://avril.test/files/missing.pdf"
  assert_line --regexp '^Strict-Transport-Security: max-age=63072000.$'
}

@test "HTTP/3: the site, its other names and no more, with the same limits, pages and log as by HTTP/2" {
  run -0 http3 -D - -w '\n%{http_version}' https://avril.test/mon-espace/x
  assert_line 3
  assert_line --regexp '^strict-transport-security: max-age=63072000.$'
  assert_equal "$(field headers.host <<<"${lines[-2]}") $(field headers.x-forwarded-proto <<<"${lines[-2]}")" \
    'avril.test https'
  assert_regex "$(field headers.x-real-ip <<<"${lines[-2]}")" '^[0-9.]+$'
  run -0 http3 -o /dev/null -w '%{http_code} %{redirect_url}' https://www.avril.test/a?b=c
  assert_output '301 https://avril.test/a?b=c'
  # So says curl of a handshake that is refused; the next line is answered.
  run -7 http3 https://other.test/
  run -0 http3 -o /dev/null -w '%{http_code}' -H 'Host: other.test' https://avril.test/
  assert_output 421
  local cookies=() index
  for index in 1 2 3 4 5; do cookies+=(-H "Cookie: a$index=$(printf '%04000d' 0)"); done
  run -0 http3 "${cookies[@]}" https://avril.test/
  assert_output --partial 'Effacez les cookies de ce site'
  head -c 10485761 /dev/zero >"$BATS_TEST_TMPDIR/large"
  run http3 -w '\n%{http_code}' --data-binary @- https://avril.test/large <"$BATS_TEST_TMPDIR/large"
  assert_line 413
  assert_output --partial '10 Mo'
  head -c 10485760 /dev/zero >"$BATS_TEST_TMPDIR/ten"
  run -0 http3 -m 30 --data-binary @- https://avril.test/ <"$BATS_TEST_TMPDIR/ten"
  assert_equal "$(field body <<<"$output")" 10485760
  run -0 docker logs "$project-quic"
  assert_line --regexp ' GET avril.test /mon-espace/x HTTP/3.0 200 .* complete=OK '
}

# While an old worker is there a new connection by HTTP/3 may be refused.
served_on() {
  inside quic /etc/nginx/avril/reload.sh
  inside quic /etc/nginx/avril/drained.sh
}

# alternative OPTION…: what a browser is told of HTTP/3, and "end"; fails when the site does not answer.
alternative() {
  curl -sS -m 10 -k -D - -o /dev/null --connect-to "::127.0.0.1:$(port_of quic 443)" "$@" \
    https://avril.test/ >"$BATS_TEST_TMPDIR/head" || return
  grep -q '^HTTP/[0-9.]* 200' "$BATS_TEST_TMPDIR/head" || return
  tr -d '\r' <"$BATS_TEST_TMPDIR/head" | sed -n 's/^alt-svc: /told: /Ip; $s/^$/end/p'
}

@test "HTTP/3: browsers are told its public port, where they reach it; a websocket is opened as before" {
  local told=$'told: h3=":8443"; ma=86400\nend'
  assert_equal "$(alternative --http1.1) $(alternative --http2)" "$told $told"
  run https -D - -o /dev/null https://avril.test/
  refute_output --partial Alt-Svc
  run -28 curl -sS -m 3 -k -D - -o /dev/null --http1.1 --connect-to "::127.0.0.1:$(port_of quic 443)" \
    -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
    -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' https://avril.test/live/websocket
  assert_line --regexp '^HTTP/1.1 101'
  # Whoever comes by an old machine, which hands on TCP alone, has its address.
  local gateway
  gateway=$(docker network inspect --format '{{(index .IPAM.Config 0).Gateway}}' "$project")
  run -0 docker exec --env FORWARDED_FROM="$gateway" "$project-quic" /docker-entrypoint.d/10-settings.sh
  inside quic /etc/nginx/avril/reload.sh
  assert_equal "$(alternative)" end
  run -0 docker exec --env NGINX_TLS_PORT=0 "$project-quic" /docker-entrypoint.d/10-settings.sh
  inside quic /etc/nginx/avril/reload.sh
  assert_equal "$(alternative)" end
  # For a day browsers would go on trying what they were told of.
  run -0 docker exec --env HTTP3=off "$project-quic" /docker-entrypoint.d/10-settings.sh
  inside quic /etc/nginx/avril/reload.sh
  assert_equal "$(alternative)" $'told: clear\nend'
  run -0 inside quic /docker-entrypoint.d/10-settings.sh
  served_on
  run -0 http3 -o /dev/null -w '%{http_version}' https://avril.test/
  assert_output 3
  run -0 inside quic /docker-entrypoint.d/10-settings.sh
  inside quic /etc/nginx/avril/reload.sh
}

@test "HTTP/3 that cannot be is said, and the site is served without it" {
  run -0 docker exec --env NGINX_BIND=127.0.0.1 "$project-quic" /docker-entrypoint.d/10-settings.sh
  assert_output --partial 'HTTP3 is on, and there is none: NGINX_BIND is 127.0.0.1'
  run -1 inside quic grep -rhE '^[^#]*quic|h3=' /run/avril --include=*.conf
  # shellcheck disable=SC2016 # for the shell in the container
  inside quic sh -c 'mkdir -p /other && printf "#!/bin/sh\ncase \$1 in -V) echo configure arguments: --with-http_v2_module >&2 ;; *) exec /usr/sbin/nginx \"\$@\" ;; esac\n" >/other/nginx && chmod +x /other/nginx'
  run -0 docker exec --env PATH=/other:/usr/sbin:/usr/bin:/sbin:/bin "$project-quic" /docker-entrypoint.d/10-settings.sh
  assert_output --partial 'HTTP3 is on, and there is none: this image of nginx is built without it'
  run -1 inside quic grep -rhE '^[^#]*quic|h3=' /run/avril --include=*.conf
  inside quic /etc/nginx/avril/reload.sh
  assert_equal "$(alternative)" end
  run -0 curl -sS -m 10 -k -o /dev/null -w '%{http_code} %{http_version}' --http2 \
    --connect-to "::127.0.0.1:$(port_of quic 443)" https://avril.test/
  assert_output '200 2'
  run -0 inside quic /docker-entrypoint.d/10-settings.sh
  served_on
  run -0 http3 -o /dev/null -w '%{http_version}' https://avril.test/
  assert_output 3
}

@test "HTTP/3: the key of its tokens is nginx's alone, outlives a reload and a new choice of the mode, and then it is served on" {
  local key again
  run -0 inside quic stat -c '%a %U' /run/avril/quic.key
  assert_output '600 root'
  key=$(inside quic sha256sum /run/avril/quic.key)
  run -0 inside quic /docker-entrypoint.d/10-settings.sh
  served_on
  assert_equal "$(inside quic sha256sum /run/avril/quic.key)" "$key"
  run -0 inside quic grep -c '^quic_host_key /run/avril/quic.key;$' /run/avril/mode.conf
  for again in {1..6}; do
    run -0 http3 -o /dev/null -w '%{http_version} %{http_code}' "https://avril.test/$again"
    assert_output '3 200'
  done
}

# The last of these: who has vanished holds an old worker up for a minute.
@test "HTTP/3: ten switches under load lose nothing, and a client that vanishes is not counted for ever" {
  local jobs=() index
  live quic "$project-one:4000"
  for index in 1 2 3; do
    docker exec "$project-client" curl -sS -m 10 --http3-only -k --no-progress-meter --rate 10/s \
      --connect-to "::127.0.0.1:$quic" \
      -w '\n%{http_version} %{http_code}\n' \
      'https://avril.test/?ms=50&x=[1-80]' >"$BATS_TEST_TMPDIR/load-$index" 2>&1 3>&- &
    jobs+=($!)
  done
  run -0 timeout 20 bash -c "until grep -qs '^3 200' '$BATS_TEST_TMPDIR/load-3'; do sleep 0.1; done"
  for index in 1 2 3 4 5; do
    live quic "$project-two:4000" >/dev/null
    live quic "$project-one:4000" >/dev/null
  done
  live quic "$project-two:4000" >/dev/null
  wait "${jobs[@]}"
  assert_equal "$(cat "$BATS_TEST_TMPDIR"/load-* | grep -c '^3 200$')" 240
  assert_equal "$(cat "$BATS_TEST_TMPDIR"/load-* | grep -o '"name":"[a-z]*"' | sort -u | paste -sd ' ')" \
    '"name":"one" "name":"two"'
  docker exec "$project-client" timeout -s KILL 4 curl -sS --http3-only -k --connect-to "::127.0.0.1:$quic" \
    'https://avril.test/?ms=6000' 3>&- &
  timeout 20 bash -c "until docker exec $project-quic curl -sS http://127.0.0.1:8081/nginx/live/phoenix | grep -q '\"open\":{\"$project-two:4000\":1}'; do sleep 0.1; done"
  wait "$!" || true
  live quic "$project-one:4000"
  assert_drained quic
  live quic
}

@test "TLS: HTTP redirects to the site's own name, but answers a renewal" {
  run -0 curl -sS -m 5 -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: evil.test' \
    "http://127.0.0.1:$tls_http/a?b=c"
  assert_output '301 https://avril.test/a?b=c'
  mkdir -p "$BATS_FILE_TMPDIR/a copy/tls/nginx/static/.well-known/acme-challenge"
  echo token >"$BATS_FILE_TMPDIR/a copy/tls/nginx/static/.well-known/acme-challenge/token"
  run -0 curl -fsS -m 5 "http://127.0.0.1:$tls_http/.well-known/acme-challenge/token"
  assert_output token
}

@test "TLS: other names and old protocols are refused" {
  run -35 https -k https://other.test/
  run -35 https -k "https://127.0.0.1/"
  run -0 https -o /dev/null -w '%{http_code}' -H 'Host: other.test' https://avril.test/
  assert_output 421
  for version in tls1 tls1_1; do
    run ! openssl s_client -connect "127.0.0.1:$tls" -servername avril.test "-$version" \
      -cipher 'ALL:@SECLEVEL=0' </dev/null
    assert_output --partial 'alert protocol version'
  done
  run ! openssl s_client -connect "127.0.0.1:$tls" -servername avril.test -tls1_2 \
    -cipher ECDHE-ECDSA-AES128-SHA </dev/null
  run -0 openssl s_client -connect "127.0.0.1:$tls" -servername avril.test -tls1_2 </dev/null
}

# served PROXY [OPTION of curl …]: the number of the certificate that a visitor is shown.
served() {
  curl -sS -m 10 -k -o /dev/null -w '%{certs}' --connect-to "::127.0.0.1:$(port_of "$1" 443)" "${@:2}" \
    https://avril.test/ | serial
}
serial() { openssl x509 -noout -serial; }
workers() { inside "$1" sh -c "grep -lszx 'nginx: [w]orker process' /proc/[0-9]*/cmdline"; }
served_by_http3() {
  docker exec "$project-client" curl -sS -m 10 --http3-only -k --connect-to "::127.0.0.1:$quic" -o /dev/null \
    -w '%{certs}' https://avril.test/ | serial
}
# Each worker takes it up for itself, within a second.
until_served() { # certificate, command that tells what is served
  run -0 timeout 10 bash \
    -c "$(declare -f served served_by_http3 serial port_of); until [ \"\$(${*:2})\" = '$(serial <"$1")' ]; do sleep 0.1; done"
}

@test "TLS: a new certificate is served without a reload, by HTTP/1.1, HTTP/2 and HTTP/3; one that cannot be used replaces none" {
  local folder="$BATS_FILE_TMPDIR/a copy/quic/ssl" before again kind
  before=$(workers quic)
  assert_regex "$before" '^/proc/'
  # The folder that setup.ts changes by a rename comes before the files of a person.
  mkdir "$folder/issued-1" "$folder/issued-2"
  for again in 1 2; do
    certificate avril.test "$folder/issued-$again"
    ln -sfn "issued-$again" "$folder/issued.new"
    mv -T "$folder/issued.new" "$folder/issued"
    run -0 inside quic /etc/nginx/avril/certificate.sh
    assert_output 'tls /ssl/issued/fullchain.pem'
    for kind in 'served quic --http1.1' 'served quic --http2' served_by_http3; do
      until_served "$folder/issued/fullchain.pem" "$kind"
    done
  done
  run -0 inside quic stat -L -c '%a %U %G' /run/avril/pair /run/avril/pair/key.pem
  assert_output $'750 root nginx\n640 root nginx'

  local good
  good=$(serial <"$folder/issued/fullchain.pem")
  for again in 'rm issued' 'ln -sfn issued-1 issued; cp issued-2/privkey.pem issued-1/' 'ln -sfn issued-2 issued; truncate -s 300 issued-2/fullchain.pem' 'rm issued-2/privkey.pem; mkdir issued-2/privkey.pem'; do
    [ "$again" != 'rm issued' ] || {
      rm "$folder/issued"
      ln -s nowhere "$folder/issued"
      mv "$folder/privkey.pem" "$folder/kept.pem"
    }
    (cd "$folder" && eval "$again")
    run -78 inside quic /etc/nginx/avril/certificate.sh
    assert_output --partial 'tls as before, because what lies there now cannot be used: '
    run -78 inside quic /etc/nginx/avril/reload.sh
    run -0 inside quic /docker-entrypoint.d/10-settings.sh
    assert_output --partial 'avril: mode tls: as before, because '
  done
  assert_equal "$(served quic)" "$good"
  assert_equal "$(workers quic)" "$before"
  docker restart "$project-quic" >/dev/null
  await quic /
  assert_equal "$(served quic)" "$good"
  rm -r "$folder"/issued*
  mv "$folder/kept.pem" "$folder/privkey.pem"
  run -0 inside quic /etc/nginx/avril/certificate.sh
  assert_output 'tls /ssl/fullchain.pem'
}

@test "TLS: a certificate that cannot be used closes the site, kindly, until it is repaired" {
  cd "$BATS_FILE_TMPDIR/a copy/tls/ssl"
  # As in a container that has never had a good one.
  inside tls sh -c 'rm -r /run/avril/pair*'
  mv privkey.pem right.pem
  openssl ecparam -genkey -name prime256v1 -noout -out privkey.pem
  run -0 inside tls /docker-entrypoint.d/10-settings.sh
  assert_output --regexp '^avril: TLS is broken.*/ssl/privkey.pem.*key values mismatch'
  assert_equal "${#lines[@]}" 1
  inside tls /etc/nginx/avril/reload.sh
  run -0 curl -sS -m 5 -i "http://127.0.0.1:$tls_http/mon-espace/"
  assert_line --regexp '^HTTP/1.1 503'
  assert_line --regexp '^Retry-After: '
  assert_output --partial 'Revenez'
  run -35 https https://avril.test/
  run -22 inside tls curl -fsS http://127.0.0.1:8081/nginx

  echo garbage >privkey.pem
  run -0 inside tls /docker-entrypoint.d/10-settings.sh
  assert_output --partial '/ssl/privkey.pem'
  rm privkey.pem
  ln -s ../../archive/privkey1.pem privkey.pem
  run -0 inside tls /docker-entrypoint.d/10-settings.sh
  assert_output --partial \
    'issued/fullchain.pem + issued/privkey.pem, fullchain.pem + privkey.pem, avril.test.crt + avril.test.key'

  mv fullchain.pem avril.test.crt
  mv right.pem entrust-avril.test-key.pem
  run -0 inside tls /docker-entrypoint.d/10-settings.sh
  assert_output 'avril: mode tls: /ssl/avril.test.crt'
  mv avril.test.crt fullchain.pem
  mv entrust-avril.test-key.pem privkey.pem
  run -0 inside tls cp /etc/nginx/avril/modes/closed.conf /run/avril/mode.conf
  run -0 inside tls /etc/nginx/avril/certificate.sh
  assert_output --partial 'nginx does not serve it yet: run /docker-entrypoint.d/10-settings.sh'
  run -0 inside tls /docker-entrypoint.d/10-settings.sh
  inside tls /etc/nginx/avril/reload.sh
  run -0 https -fo /dev/null https://avril.test/
}

@test "a setting that could break out of the configuration is refused by its name" {
  # shellcheck disable=SC2016,SC1003 # as they are
  for setting in 'WHOST=a;b' 'BUCKET_NAME=a"b' 'DRAIN_SECONDS=30s' 'POST_RATE=0' $'WHOST=a\nb' $'WHOST=a\n' NGINX_PORT=80x \
    'WHOST_ALIASES=a;b' 'WHOST_ALIASES=a b' 'WHOST_ALIASES=a,' 'WHOST_ALIASES=~^.*' 'WHOST_ALIASES=*.a' $'WHOST_ALIASES=a\nb' \
    'CONTENT_SECURITY_POLICY=a"; evil' 'CONTENT_SECURITY_POLICY=$host' 'CONTENT_SECURITY_POLICY=a\' $'CONTENT_SECURITY_POLICY=a\nSet-Cookie: b=c' \
    $'CONTENT_SECURITY_POLICY=a\r' $'CONTENT_SECURITY_POLICY=a\n' 'CONTENT_SECURITY_POLICY={' CONTENT_SECURITY_POLICY=é \
    'REFERRER_POLICY=a b' 'REFERRER_POLICY=$a' FRAME_OPTIONS=ALLOWALL HTTP3=true NGINX_TLS_PORT=443x $'FRAME_OPTIONS=DENY\n' WHOST_ALIASES=a,localhost WHOST_ALIASES=LOCALHOST; do
    run -78 docker exec --env "$setting" "$project-plain" /docker-entrypoint.d/10-settings.sh
    assert_output --partial "avril: ${setting%%=*} is "
  done
  run -78 docker exec --env WHOST_ALIASES=a.b,AVRIL.test "$project-tls" /docker-entrypoint.d/10-settings.sh
  assert_output --partial 'names the site itself'
}

@test "the nginx of another node of a Swarm starts again after it was killed: what it listened on is left" {
  docker run --detach --name "$project-killed" --label "$project" --env SWARM_ROLE=other --env SWARM_NODE=x \
    --volume "$checkout/nginx:/etc/nginx/avril:ro" --volume "$checkout/nginx/start:/docker-entrypoint.d:ro" \
    "$(image_of nginx)" nginx -c /etc/nginx/avril/nginx.conf -g 'daemon off;'
  timeout 30 sh -c "until docker exec '$project-killed' ls /run/avril/follow.sock; do sleep 0.1; done"
  docker kill --signal KILL "$project-killed"
  docker start "$project-killed"
  # Of the second start.
  timeout 30 sh -c "until [ \"\$(docker logs '$project-killed' 2>&1 | grep -c 'start worker processes')\" = 2 ]; do sleep 0.1; done"
}
