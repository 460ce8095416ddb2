# A real nginx with the configuration of this checkout, and small servers behind it, on a network of their own.
# The test that loads this sets $checkout, $node_image and $nginx_image.
# shellcheck shell=bash disable=SC2154

project=${NGINX_TEST:-avril-test-nginx}

# The image that docker-compose.yml gives to a service, or builds it on.
image_of() {
  docker compose --project-directory "$checkout" -f "$checkout/docker-compose.yml" config --format json |
    node -e '
      const service = JSON.parse(require("node:fs").readFileSync(0, "utf8")).services[process.argv[1]]
      console.log(service.build?.args?.BASE ?? service.image)' "$1"
}

remove_all() {
  docker ps -aq --filter "label=$project" | xargs -r docker rm -f >/dev/null
  docker network ls -q --filter "label=$project" | xargs -r docker network rm >/dev/null
}

# start_app: phoenix behind it, whose page is 2 kB of the same, and costs it next to nothing; for measurements
start_app() {
  cat >"$BATS_FILE_TMPDIR/app.conf" <<CONF
worker_processes 1;
events { worker_connections 4096; }
http {
  access_log off;
  server { listen 4000; location / { default_type text/html; return 200 "$(printf '%02000d' 0)"; } }
}
CONF
  docker run -d --name "$project-app" --label "$project" --network "$project" --network-alias phoenix \
    --volume "$BATS_FILE_TMPDIR/app.conf:/app.conf:ro" \
    --entrypoint nginx "$nginx_image" -c /app.conf -g 'daemon off;' >/dev/null
}

# upstream NAME ALIAS …
upstream() {
  local name=$1 aliases=()
  shift
  while [ "$#" -gt 0 ]; do
    aliases+=(--network-alias "$1")
    shift
  done
  docker run -d --name "$project-$name" --label "$project" --network "$project" "${aliases[@]}" --env "NAME=$name" \
    --volume "$checkout/test/helpers/upstream.mjs:/upstream.mjs:ro" \
    --entrypoint node "$node_image" /upstream.mjs >/dev/null
}

# proxy NAME WHOST POST_RATE DRAIN_SECONDS [OPTION OF docker …]: an nginx run as docker-compose.yml runs it, with a copy
# of nginx/ in $BATS_FILE_TMPDIR/a copy/NAME.
proxy() {
  local name=$1 folder="$BATS_FILE_TMPDIR/a copy/$1"
  mkdir -p "$folder/ssl"
  cp -R "$checkout/nginx" "$folder/nginx"
  rm -f "$folder/nginx/live/"*.json
  docker create --name "$project-$name" --label "$project" --network "$project" \
    --publish 127.0.0.1::80 --publish 127.0.0.1::443 \
    --env "WHOST=$2" --env BUCKET_NAME=test-bucket --env "POST_RATE=$3" --env "DRAIN_SECONDS=$4" \
    --volume "$folder/nginx:/etc/nginx/avril:ro" --volume "$folder/nginx/start:/docker-entrypoint.d:ro" \
    --volume "$folder/nginx/static:/static:ro" --volume "$folder/ssl:/ssl:ro" "${@:5}" \
    "$nginx_image" nginx -c /etc/nginx/avril/nginx.conf -g 'daemon off;' >/dev/null
}

# inside NAME COMMAND …: a command in a proxy's container.
inside() {
  docker exec "$project-$1" "${@:2}"
}

port_of() { # proxy, port in the container
  docker port "$project-$1" "$2/tcp" | sed 's/.*://'
}

# Waits until nginx and what is behind it answer.
await() { # proxy, path
  inside "$1" curl -fsS -o /dev/null --retry 100 --retry-all-errors --retry-max-time 20 \
    "http://127.0.0.1:8081$2" 2>/dev/null
}

# A self-signed certificate: certificate NAME FOLDER
certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -out "$2/fullchain.pem" -keyout "$2/privkey.pem" 2>/dev/null
}

# Prints the field of the JSON that an upstream answers with.
field() {
  node -p '
    const answer = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
    process.argv[1].split(".").reduce((value, key) => value?.[key], answer)' "$1"
}

# live PROXY ADDRESS[=ROLLOUT] …: what a deploy does to switch phoenix, the rename included; without an address what it
# was before the first.
live() {
  local folder="$BATS_FILE_TMPDIR/a copy/$1/nginx/live" proxy=$1
  shift
  if [ "$#" -eq 0 ]; then
    rm -f "$folder/phoenix.json"
  else
    node -p 'JSON.stringify({ upstreams: process.argv.slice(1).map(it => it.split("=")).map(([address, rollout = null]) => ({ address, rollout })) })' "$@" >"$folder/phoenix.new"
    mv "$folder/phoenix.new" "$folder/phoenix.json"
  fi
  inside "$proxy" curl -fsS -X POST http://127.0.0.1:8081/nginx/live/phoenix
}
