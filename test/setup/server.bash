# A server to set up: a container with a clean Debian, Node and this checkout, and later an engine of its own in it. The
# rest of the world is played by its files: git finds the repositories of the fixtures at GitHub's addresses, and the
# engine finds the images at a mirror.
# shellcheck shell=bash
SERVER=${SERVER:-avril-test-setup}
# shellcheck disable=SC2034 # for the tests
HOST=avril.example.org
AT=/home/docker/avril-scripts

on() { docker exec --interactive --workdir "$AT" "$SERVER" "$@" 3>&-; }

# exec_setup [options]: becomes setup.ts there; /run/setup.pid has its process number
exec_setup() {
  # shellcheck disable=SC2016 # for the shell there
  exec docker exec --workdir "$AT" "$SERVER" sh \
    -c 'echo $$ >/run/setup.pid; exec node --import tsx scripts/setup.ts "$@"' setup "$@" 3>&-
}

set_up() { (exec_setup "$@"); }

signal_setup() { on sh -c "kill -$1 \"\$(cat /run/setup.pid)\""; }

# The images that docker-compose.yml names, as `docker save` writes them. What the apps are built on has curl: each
# engine installs it once, which the engine of the other tests has done.
save_images() {
  local images image
  images=$(docker compose --project-directory "$CHECKOUT" --file "$CHECKOUT/docker-compose.yml" config --format json |
    node -e '
    const services = Object.values(JSON.parse(require("node:fs").readFileSync(0, "utf8")).services)
    console.log([...new Set(services.map(({ image, build }) => (build ? "with-curl/" + build.args.BASE : image)))].join("\n"))')
  grep ^with-curl/ <<<"$images" | while read -r image; do build_with_curl "${image#*/}" "$image"; done
  xargs docker save --output "$1" <<<"$images"
}

# A dump of the database of the fixtures.
make_dump() {
  docker run --detach --name "$SERVER-dump" --env POSTGRES_USER=avril --env POSTGRES_PASSWORD=x \
    --env POSTGRES_DB=avril postgis/postgis:18-3.6 >/dev/null
  local ask=(docker exec --interactive "$SERVER-dump" psql --quiet --host=127.0.0.1 --username=avril --dbname=avril)
  local end=$((SECONDS + 300))
  until "${ask[@]}" --command='select 1' >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
  "${ask[@]}" <"$HERE/fixtures/database.sql" >/dev/null
  docker exec "$SERVER-dump" pg_dump --username=avril --format=custom avril >"$1"
  docker rm --force --volumes "$SERVER-dump" >/dev/null
}

# make_certificate FOLDER: a certificate of the site that it has signed itself
make_certificate() {
  mkdir -p "$1"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj "/CN=$HOST" \
    -addext "subjectAltName=DNS:$HOST" \
    -keyout "$1/privkey.pem" -out "$1/fullchain.pem" 2>/dev/null
}

server_remove() {
  docker rm --force --volumes "$SERVER" "$SERVER-dump" >/dev/null 2>&1 || true
  docker volume rm --force "$SERVER" >/dev/null
}

# server_up FOLDER: FOLDER has origin (the remotes), avril-scripts (the checkout), images.tar
# systemctl works on the files of its units there, since no systemd runs.
server_up() {
  local rights=(--cgroupns private --cap-add ALL --cap-drop SYS_RESOURCE --device-cgroup-rule 'a *:* rwm')
  for part in seccomp apparmor systempaths; do rights+=(--security-opt "$part=unconfined"); done
  docker run --detach --init --name "$SERVER" --hostname server "${rights[@]}" --env SYSTEMD_OFFLINE=1 --tmpfs /run \
    --volume "$SERVER:/var/lib/docker" \
    --volume "$HERE/setup:/srv/setup:ro" --volume "$1/images.tar:/srv/images.tar:ro" \
    --volume "$1/origin:/srv/origin:ro" \
    --volume "$CHECKOUT/node_modules:$AT/node_modules:ro" \
    "$(sed -n 's/^NUXT_BASE_IMAGE=//p' "$CHECKOUT/.env.example")" sh /srv/setup/init.sh >/dev/null
  tar -C "$1/avril-scripts" -cf - . | on tar --no-same-owner -xf -
  on sh -e <<'SH'
mkdir -p /etc/docker /mnt/backups
echo '{ "registry-mirrors": ["http://127.0.0.1:5000"] }' >/etc/docker/daemon.json
printf '[url "/srv/origin/"]\n  insteadOf = https://github.com/StartupsPoleEmploi/\n[safe]\n  directory = *\n' >/etc/gitconfig
# What this server loses in a crash of the whole machine nobody misses.
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/quick
# The image has apt read all lists anew at each call; a server's apt remembers them.
sed -i /pkgcache/d /etc/apt/apt.conf.d/*
SH
}
