#!/usr/bin/env bats
# A new server: a clean Debian with an engine of its own, from an empty file system to the site that answers.

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site
load setup/server

setup_file() {
  export PLAY="$BATS_FILE_TMPDIR/a site"
  server_remove
  STACK_NAME=avril STACK_PORT=80 "$HERE/stack.sh" "$PLAY"
  rm "$PLAY/avril-scripts/.env" "$PLAY/avril-scripts/node_modules"
  cp "$HERE"/fixtures/recipes/* "$PLAY/avril-scripts/recipes/"
  mkdir -p "$PLAY/avril-scripts/db/dumps"
  (umask 077 && make_dump "$PLAY/avril-scripts/db/dumps/latest.dump") &
  save_images "$PLAY/images.tar"
  wait $!
  make_certificate "$PLAY/ssl"
  server_up "$PLAY"
  on mkdir -p "/root/ssl/$HOST"
  tar -C "$PLAY/ssl" -cf - . | on tar -C "/root/ssl/$HOST" -xf -
}

teardown_file() {
  server_remove
  ip netns del "$SERVER" 2>/dev/null || true
}

# What a second run must not change: files, containers, images, cron.
state() {
  on sh -c 'sha256sum .env /etc/cron.d/*; stat -c "%a %Y %n" .env; git -C ../avril rev-parse HEAD; docker ps --all --no-trunc --format "{{.ID}} {{.Names}} {{.Image}}"; docker image ls --no-trunc --quiet' | sort
}

# ask PATH: what a visitor gets
ask() {
  on docker exec avril-nginx-1 curl --silent --show-error --fail --insecure --connect-to "$HOST:443:127.0.0.1:443" \
    "https://$HOST$1"
}

# finds LEVEL STEP WORDS: --check has such a finding
finds() {
  node -e 'const [report, level, step, words] = process.argv.slice(1); process.exit(JSON.parse(report).findings.some(it => it.level === level && it.step === step && it.text.includes(words)) ? 0 : 1)' "$report" "$@"
}

assert_finds() { finds "$@" || { echo "no $1 of $2 with: $3"; echo "$report"; return 1; }; }

# check CODE: --check ends with it; its report is in $report
check() {
  run --separate-stderr "-$1" set_up --check --json
  report=$output
}

@test "an empty machine: --check says what is missing, and changes nothing" {
  local before after
  before=$(on sh -c 'ls -A . /etc /home/docker /usr/bin | sha256sum')
  check 1
  assert_finds bad programs 'Docker is not installed'
  assert_finds bad programs 'git is not installed'
  assert_finds bad settings 'there is no'
  after=$(on sh -c 'ls -A . /etc /home/docker /usr/bin | sha256sum')
  assert_equal "$after" "$before"
}

@test "who is not root, or is on another system, is told what to install" {
  run -69 docker exec --user nobody --workdir "$AT" "$SERVER" bash lib/docker/engine.sh git
  assert_output --partial 'git is missing, and only root can install that'
  run -69 docker exec --workdir "$AT" --env PATH=/nowhere "$SERVER" /bin/bash lib/docker/engine.sh
  assert_output --partial 'neither Debian nor Ubuntu'
}

@test "a power cut while packages are installed, then one command to the site that answers, with the dump restored" {
  exec_setup --host "$HOST" >"$BATS_TEST_TMPDIR/out" 2>&1 &
  local setup=$!
  on timeout 900 sh -c 'tail --lines=+1 -F /var/log/dpkg.log 2>/dev/null | grep --quiet "status unpacked containerd"'
  docker kill "$SERVER" >/dev/null
  await_exit "$setup" 137
  docker start "$SERVER" >/dev/null
  # What is unpacked before what it needs, dpkg cannot configure.
  on sh -c 'cd /var/cache/apt/archives && dpkg --unpack docker.io_*.deb && rm libip4tc2_*.deb' >/dev/null

  : >"$BATS_TEST_TMPDIR/second"
  exec_setup --host "$HOST" >>"$BATS_TEST_TMPDIR/second" 2>&1 &
  setup=$!
  timeout 600 tail --pid="$setup" --lines=+1 --follow "$BATS_TEST_TMPDIR/second" | grep --quiet 'start: building'
  signal_setup INT
  await_exit "$setup" 130

  run -0 set_up --host "$HOST"
  assert_output --partial '✓ services: all 7 are healthy'
  refute_output --partial 'installing'
  run -0 ask /
  assert_output --partial Avril
  run -0 ask /mon-espace/version
  assert_output --partial '"app":"avril-profil"'
  run -0 ask /ma-candidature-vae/version
  assert_output --partial '"app":"avril-livret1"'
  # The first images are of a commit, too.
  assert_equal "$(on docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' \
    avril-phoenix:compose)" "$(on git -C ../avril rev-parse HEAD)"
  run -0 on docker exec avril-postgres-1 psql --username=avril --tuples-only --no-align \
    --command='select count(*) from people'
  assert_output 50000
  run -0 on sh -c 'stat -c "%a %U" .env; diff .env .env.example | sed -n "s/^< \([A-Z_]*\)=.*/\1/p" | sort | xargs'
  assert_line --index 0 '600 root'
  assert_line --index 1 'AWS_SECRET_ACCESS_KEY CLIENT_TO_PHOENIX_URL MINIO_ROOT_PASSWORD MINIO_ROOT_USER NGINX_BIND POSTGRES_APP_PASSWORD POSTGRES_APP_USER POSTGRES_PASSWORD SECRET_KEY_BASE WAL WHOST'
  run -0 on cat /etc/cron.d/avril-backup
  assert_output --partial '15 3 * * 1-6 root'
  # Debian's Node runs no TypeScript by itself, whatever its version.
  run -0 on sh -c "$(on sed -nE '4s/.*run\(\) \{ (.*) --wait .*/\1/p' /etc/cron.d/avril-backup) --help"
  assert_output --partial 'Usage: backup.ts'
}

@test "a second run changes nothing" {
  local before
  before=$(state)
  run -0 set_up
  refute_output --partial '→'
  assert_equal "$(state)" "$before"
  check 0
  refute_output --partial '"level":"bad"'
  assert_finds warning images 'stand-ins'
  assert_finds good keys 'avril_app, who is not a superuser and owns avril'
  assert_finds good keys 'for the bucket avril alone'
  assert_finds good running 'as docker-compose.yml and .env say'
}

@test "what breaks is found, and what can be mended is mended; nothing else is touched" {
  local nginx
  nginx=$(on docker ps --quiet --filter name=avril-nginx-1)
  on sh -e <<'SH'
rm -r ../avril-profil
chmod 644 .env
sed -i 's/^POST_RATE=.*/POST_RATE=2/' .env
docker stop avril-minio-1
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "/root/ssl/avril.example.org/privkey.pem"
rm /etc/cron.d/avril-backup
# Who ships the archive puts the notes of the data in order, too, and cron begins one each minute.
kill -STOP "$(cat /run/crond.pid)"
while grep -lsz '[-]-ship' /proc/[0-9]*/cmdline >/tmp/ship; do xargs -n 1 dirname </tmp/ship | xargs -n 1 basename | xargs kill 2>/dev/null || true; done
touch /var/run/reboot-required
mkdir -p /run/systemd/system
systemctl disable docker
printf '{"who":"al","since":"2026-01-01T00:00:00Z","pid":999999,"repository":"avril","service":"phoenix","phase":"drain","phases":{},"from":null,"to":null,"revision":null,"next":null}' >.state/rollout.json
printf '{"what":"backing up","who":"al' >.state/data.json
SH
  check 1
  assert_finds bad repositories 'avril-profil is not there'
  assert_finds warning secrecy '.env can be read by every user'
  assert_finds bad services 'minio is not running'
  assert_finds bad certificate 'privkey.pem is not the key of fullchain.pem'
  assert_finds bad backups 'nothing makes a backup'
  assert_finds bad boot 'the engine does not start at boot'
  assert_finds warning reboot 'a reboot is pending'
  assert_finds warning running 'other settings (POST_RATE)'
  assert_finds warning releases 'the deploy of avril by al was interrupted'
  assert_finds warning releases '.state/data.json is damaged'
  # shellcheck disable=SC2016 # for that shell
  on sh -c 'kill -CONT "$(cat /run/crond.pid)"'

  run -78 set_up
  assert_output --partial '→ repositories: cloning https://github.com/StartupsPoleEmploi/avril-profil'
  assert_output --partial 'nothing is begun before certificate is in order'
  tar -C "$PLAY/ssl" -cf - . | on tar -C "/root/ssl/$HOST" -xf -
  on sh -c 'rm -r /var/run/reboot-required .state/rollout.json .state/data.json; systemctl is-enabled docker; rmdir /run/systemd/system'
  run -0 set_up
  assert_output --partial '✓ services: all 7 are healthy'
  assert_equal "$(on docker ps --quiet --filter name=avril-nginx-1)" "$nginx"
  check 0
  refute_output --partial 'every user'
}

@test "--certificate installs certbot where it is missing, and says when no authority answers" {
  run on sh -c 'command -v certbot'
  assert_output ''
  on sh -c 'echo ACME_DIRECTORY=https://127.0.0.1:1/dir >>.env'
  run -69 set_up --certificate admin@example.org
  assert_line --partial "→ certbot: installing certbot, from the distribution's packages"
  assert_line '✓ certbot: it is installed, and cron too'
  assert_line --partial '✗ certificate: no certificate was given: the authority does not answer'
  run -1 on test -e /etc/cron.d/avril-certificate
  on sed -i /ACME_DIRECTORY=https/d .env
  run -0 ask /
}

# A visitor on a network of its own, which reaches the server by IPv6 alone.
visitor_up() {
  local pid=$1
  ip netns add "$SERVER"
  ip link add v6server netns "$pid" type veth peer name v6visitor netns "$SERVER"
  nsenter --net="/proc/$pid/ns/net" sh \
    -ec 'sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip link set v6server up; ip -6 addr add 2001:db8:7::1/64 dev v6server nodad'
  ip netns exec "$SERVER" sh \
    -ec 'ip link set lo up; ip link set v6visitor up; ip -6 addr add 2001:db8:7::2/64 dev v6visitor nodad'
}

@test "IPv6 on an engine that can do it: nginx listens there, and knows each visitor" {
  visitor_up "$(docker inspect --format '{{.State.Pid}}' "$SERVER")"
  on sed -i -e 's/^NGINX_BIND=.*/NGINX_BIND=/' -e 's/^#NETWORK_IPV6=.*/NETWORK_IPV6=true/' .env
  run -0 on docker compose down
  run -0 on docker compose up --detach --no-build --wait
  run -0 ip netns exec "$SERVER" curl -6 -sS -m 10 --insecure --resolve "$HOST:443:[2001:db8:7::1]" \
    "https://$HOST/mon-espace/version"
  assert_output --partial '"app":"avril-profil"'
  run -0 on docker compose logs --no-log-prefix nginx
  assert_output --regexp '2001:db8:7::2.*/mon-espace/version'
  check 0
}

@test "a remote, a lost .env, a dump, a registry and a port that fail each give one message, their code, and what to do" {
  on sh -c 'rm -r ../avril-profil; echo "AVRIL_PROFIL_GIT_URL=/nowhere/avril-profil" >>.env'
  run -69 set_up
  assert_output --partial '✗ repositories: /nowhere/avril-profil could not be cloned'
  on sh -c 'sed -i /GIT_URL/d .env; mv .env ../env'
  run -78 set_up
  assert_output --partial 'data of a former site (the volume avril_postgres)'
  on sh -c 'mv ../env .env; mv db/dumps/latest.dump db/dumps/good.dump; echo "select 1;" >db/dumps/latest.dump; docker stop avril-minio-1'
  run -65 set_up
  assert_output --partial '✗ dump: db/dumps/latest.dump is not an archive of pg_dump'
  assert_output --partial 'nothing is begun before dump is in order'
  on sh -c 'mv db/dumps/good.dump db/dumps/latest.dump; docker rm -f avril-nginx-1 avril-nuxt_profile-1 >/dev/null; docker image rm nginx:1.30.5 >/dev/null; sed -i s/nginx:1.30.5/nginx:0/ docker-compose.yml'
  run -69 set_up
  assert_output --partial '✗ services: fetching images failed'
  on sh -c 'sed -i s/nginx:0/nginx:1.30.5/ docker-compose.yml; exec node -e "require(\"net\").createServer().listen(443)"' &
  run -1 set_up
  assert_output --partial 'what else listens on that port? ss -ltnp'
  kill $!
}

@test "--from: the .env of the bash scripts becomes a good one after a question, and neither it nor the old stack is touched" {
  on sh -c 'mv .env ../env; mkdir -p /home/docker/old; cat >/home/docker/old/.env' <<ENV
COMPOSE_PROJECT_NAME=avril
ERL_AFLAGS=-kernel shell_history enabled
POSTGRES_USER=postgres
POSTGRES_DB=vae
POSTGRES_PASSWORD="s3cret word" # of the database
PGPASSWORD=\${POSTGRES_PASSWORD}
MINIO_ACCESS_KEY=avrilminio
MINIO_SECRET_KEY=avrilminio
SERVER_TO_PHOENIX_URL=http://phoenix:4000
WHOST=$HOST
ENV
  local before
  before=$(on sh -c 'sha256sum /home/docker/old/.env; docker ps --all --no-trunc --format "{{.ID}} {{.Status}}" | sed "s/ (.*//;s/[0-9].*//"')
  run -64 set_up --from /home/docker/old
  assert_output --partial 'corrected SERVER_TO_PHOENIX_URL: http://phoenix:4000 → http://nginx:8080; through nginx'
  refute_output --partial 's3cret'
  run -1 on test -e .env
  run -0 set_up --from /home/docker/old --yes
  assert_output --partial 'this server is in order'
  run -0 on sh -c 'stat -c %a .env; grep -E "^(COMPOSE_PROJECT_NAME|POSTGRES_PASSWORD|AWS_ACCESS_KEY_ID)=" .env; docker compose config --quiet'
  assert_output "600
COMPOSE_PROJECT_NAME=avril-site
POSTGRES_PASSWORD='s3cret word'
AWS_ACCESS_KEY_ID=avrilminio"
  run -0 on sh -c 'sha256sum /home/docker/old/.env; docker ps --all --no-trunc --format "{{.ID}} {{.Status}}" | sed "s/ (.*//;s/[0-9].*//"'
  assert_output "$before"
  run -78 set_up --from /home/docker/old --yes
  assert_output --partial '.env is there already, and an old site is taken over once'
}
