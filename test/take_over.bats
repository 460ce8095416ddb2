#!/usr/bin/env bats
# The old site taken over: an old stack that serves on a port, made by Compose 1 with an older PostgreSQL, its settings,
# its rows and its files, and the way back.

# shellcheck disable=SC2016,SC2154 # for other shells; bats sets these in `run`
load helpers/site
load helpers/ssh

PORT=18290
SSH_PORT=18293
OTHER_PORT=18294
AWAY_PORT=18295

image_of() { sed -n "/^  $1:/,/^  [a-z]/s/^    image: //p" "$CHECKOUT/docker-compose.yml"; }

old_compose() {
  (cd "$OLD" && OLD_NGINX=$(image_of nginx) OLD_MINIO=$(image_of minio) docker-compose "$@" 3>&-)
}

# old_list FORMAT: its containers
old_list() { docker ps --all --filter label=com.docker.compose.project=avril-test-old --format "$1" | sort; }

# Until all of it runs, and its data can be asked for.
old_await() {
  timeout 120 bash -c 'until [ "$(docker ps --filter label=com.docker.compose.project=avril-test-old --format "{{.Status}}" | grep -c -e healthy -e "^Up [^(]*$")" -eq 6 ]; do sleep 0.2; done'
}

old_sql() { old_compose exec -T postgres psql -U postgres -d vae -qAt -c "$1"; }

old_put() {
  printf '%s' "$2" | old_compose exec -T minio sh \
    -c 'mc --quiet alias set old http://127.0.0.1:9000 oldminio oldminiosecret >/dev/null && mc --quiet mb --ignore-existing old/resumes >/dev/null && mc --quiet pipe "old/resumes/$0" >/dev/null' "$1"
}

old_remove() { old_compose exec -T minio mc --quiet rm "old/resumes/$1" >/dev/null; }

new_sql() { compose exec -T postgres psql -U postgres -d vae -qAt -c "$1"; }

new_list() { (cd "$SITE" && node test/helpers/objects.js list); }

old_policies() {
  old_list '{{.ID}}' | xargs docker inspect \
    --format '{{index .Config.Labels "com.docker.compose.service"}} {{.HostConfig.RestartPolicy.Name}}' | sort
}

# docker_that: makes a docker in BIN that first does what stands on stdin, a `case` of its words; `once NAME` is true
# one time.
docker_that() {
  BIN=$BATS_TEST_TMPDIR/bin
  mkdir -p "$BIN"
  {
    echo '#!/bin/bash'
    declare -p OLD CHECKOUT PORT SITE BATS_TEST_TMPDIR
    declare -f image_of old_compose old_sql old_put old_remove page
    echo 'PATH=${PATH#*:}; once() { mkdir "$BATS_TEST_TMPDIR/bin/$1" 2>/dev/null; }'
    printf '{\n%s\n} >&2\nexec docker "$@"\n' "$(cat)"
  } >"$BIN/docker"
  # The cron of this machine is not started.
  echo '#!/bin/sh' >"$BIN/cron"
  chmod +x "$BIN/docker" "$BIN/cron"
}

taken_by_program() {
  node --eval "require('node:net').createServer().listen($1, '127.0.0.1', () => console.log('listens'))" >"$BATS_TEST_TMPDIR/taker" 3>&- &
  TAKER=$!
  await_line "$BATS_TEST_TMPDIR/taker" listens
}
taken_by_program_off() { kill "$TAKER"; }
taken_by_container() {
  docker run --detach --rm --name avril-test-taker --publish "127.0.0.1:$1:80" "$(image_of nginx)" sleep 600 3>&-
}
taken_by_container_off() { docker rm --force avril-test-taker; }

page() { curl -sS --max-time 5 "http://127.0.0.1:$PORT/$1"; }

setup_file() {
  export OLD=$BATS_FILE_TMPDIR/avril
  rm -f /etc/cron.d/avril-site-backup /etc/cron.d/avril-site-ship
  site_make avril-site "$PORT"
  rm "$SITE/.env"
  mkdir -p "$OLD/page" "$PLAY/sets"
  cp "$HERE"/fixtures/old_stack/* "$OLD/"
  echo 'the old site' >"$OLD/page/index.html"
  mkdir -p "$OLD/ssl"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$OLD/ssl/avril.key" -out "$OLD/ssl/avril.crt" -days 30 \
    -subj /CN=avril.example.org -addext subjectAltName=DNS:avril.example.org 2>&1
  cat >"$OLD/.env" <<ENV
# Keep unchanged
COMPOSE_PROJECT_NAME=avril-test-old
ERL_AFLAGS=-kernel shell_history enabled
POSTGRES_HOST=postgres
POSTGRES_USER=postgres
POSTGRES_PASSWORD="pass word" # of the database
PGPASSWORD=\${POSTGRES_PASSWORD}
POSTGRES_DB=vae
WHITELIST_EMAILS=a@example.org;b@example.org
MAILJET_PRIVATE_API_KEY=pa\$word#1\$\$ # as Compose 1 reads it
CRISP_WEBSITE_ID='a \${POSTGRES_DB} b'
AWS_ACCESS_KEY_ID=AKIA/XX
AWS_SECRET_ACCESS_KEY=abc/def+ghi
MINIO_ACCESS_KEY=oldminio
MINIO_SECRET_KEY=oldminiosecret
BUCKET_NAME=resumes
NUXT_BUILD_DIR=/build
NGINX_PORT=$PORT
BACKUP_DIR=$PLAY/sets
NGINX_TLS_PORT=0
SERVER_TO_PHOENIX_URL=http://phoenix:4000
ENV
  "$HERE/images.sh" old 2>&1
  old_compose down --volumes >/dev/null 2>&1
  old_compose up --detach 2>&1
  old_await
  old_sql 'create extension if not exists citext; create extension if not exists unaccent; create extension if not exists pg_trgm; create extension if not exists postgis; create extension if not exists postgis_topology;
    create table users (id int primary key, email citext not null, place geometry); insert into users select n, n || $$@example.org$$, st_point(n, n) from generate_series(1, 500) n; create index on users using gin (lower(email::text) gin_trgm_ops);
    create function picky(n int) returns int immutable language plpgsql as $f$ begin if current_setting($$application_name$$) = $$pg_restore$$ then raise exception $$not at a restore$$; end if; return n; end $f$;
    create index fragile on users (picky(id));'
  old_put 1/cv.pdf 'a first file'
  old_put '2/é +#.pdf' 'a second file'
  # A dump of a week ago, of the time when there were fewer rows, and what makes one each night.
  mkdir -p "$OLD/db/dumps"
  old_compose exec -T postgres psql -U postgres -d vae -qAt -c 'delete from users where id > 400'
  old_compose exec -T postgres pg_dump -U postgres -d vae -F c >"$OLD/db/dumps/of-a-week-ago.dump"
  old_sql "insert into users select n, n || '@example.org', st_point(n, n) from generate_series(401, 500) n"
  printf 'services:\n  nginx:\n    labels: { of.the.team: here }\n' >"$OLD/docker-compose.override.yml"
  printf '30 2 * * * root cd %s/ && ./scripts/avril-backup.sh\n' "$OLD" >/etc/cron.d/avril-test-old
}

teardown_file() {
  iptables --delete INPUT --protocol tcp --dport "$OTHER_PORT" --jump REJECT 2>/dev/null
  docker rm --force avril-test-old-forwarder avril-test-old-beside >/dev/null 2>&1
  if [ -d "$BATS_FILE_TMPDIR/ssh" ]; then
    # shellcheck source=/dev/null
    . "$BATS_FILE_TMPDIR/sshd"
    sshd_down
  fi
  rm -f /etc/cron.d/avril-test-old /etc/cron.d/avril-site-backup /etc/cron.d/avril-site-ship
  docker rm --force avril-test-taker >/dev/null 2>&1
  site_down
  old_compose down --volumes --timeout 2 2>&1
}

@test "the settings are taken over: what is missing to a start is nothing" {
  run -0 script setup --from "$OLD" --dry-run
  assert_output --partial 'renamed   AWS_ACCESS_KEY_ID'
  assert_output --regexp 'made +WAL: on; '
  assert_output --partial "$OLD/db/dumps/of-a-week-ago.dump ("
  assert_output --partial "$OLD/docker-compose.override.yml is not taken over"
  assert [ ! -e "$SITE/.env" ]
  # Not the steps after it: they are those of a server, on a machine that is none.
  run -0 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" --input-type=module --eval '
    const { checkTakeOver, readTakeOver } = await import(`${process.argv[1]}/lib/setup/old_site.ts`)
    const { openOldMachine } = await import(`${process.argv[1]}/lib/setup/old_machine.ts`)
    const { writeSettings } = await import(`${process.argv[1]}/lib/setup/make_settings.ts`)
    const plan = await readTakeOver(await openOldMachine(process.argv[2])); checkTakeOver(plan); await writeSettings(plan.text)' "$SITE" "$OLD"
  run -0 grep -E '^(COMPOSE_PROJECT_NAME|NGINX_PORT|POSTGRES_PASSWORD|AWS_ACCESS_KEY_ID|BUCKET_NAME)=' "$SITE/.env"
  assert_output "COMPOSE_PROJECT_NAME=avril-site
NGINX_PORT=$PORT
POSTGRES_PASSWORD='pass word'
BUCKET_NAME=resumes
AWS_ACCESS_KEY_ID=oldminio"
  # What is kept is what the old apps have.
  docker inspect --format '{{json .Config.Env}}' avril-test-old_phoenix_1 >"$BATS_TEST_TMPDIR/had"
  run -0 node --input-type=module --eval '
    import { readFileSync } from "node:fs"
    import { parse } from "dotenv"
    const had = Object.fromEntries(JSON.parse(readFileSync(process.argv[1], "utf8")).map(it => [it.slice(0, it.indexOf("=")), it.slice(it.indexOf("=") + 1)]))
    const has = parse(readFileSync(process.argv[2], "utf8"))
    const names = ["ERL_AFLAGS", "POSTGRES_PASSWORD", "WHITELIST_EMAILS", "MAILJET_PRIVATE_API_KEY", "CRISP_WEBSITE_ID"]
    console.log(names.filter(name => had[name] && had[name] === has[name]).join(" "), had.MAILJET_PRIVATE_API_KEY)' "$BATS_TEST_TMPDIR/had" "$SITE/.env"
  assert_output 'ERL_AFLAGS POSTGRES_PASSWORD WHITELIST_EMAILS MAILJET_PRIVATE_API_KEY CRISP_WEBSITE_ID pa$word#1$$'
}

@test "a port that is somebody else's is named, a program's and a container's" {
  local port taker words
  while read -r port taker words; do
    sed -i "s/^NGINX_TLS_PORT=.*/NGINX_TLS_PORT=$port/" "$SITE/.env"
    "$taker" "$port"
    run -78 script setup --from "$OLD" --cutover --yes
    assert_output --regexp "port $port is that of $words"
    refute_output --partial 'trial:'
    "${taker}_off"
  done <<'TABLE'
18291 taken_by_program node \(process [0-9]+\)
18292 taken_by_container the container avril-test-taker
TABLE
  sed -i 's/^NGINX_TLS_PORT=.*/NGINX_TLS_PORT=0/' "$SITE/.env"
}

# bats test_tags=long
@test "what the trial finds is found while the old site serves: a database that does not start, an app without a page" {
  local before breaking mending
  before=$(old_list '{{.ID}} {{.State}}')
  while IFS=% read -r breaking mending words; do
    (cd "$SITE" && eval "$breaking")
    run script setup --from "$OLD" --cutover --yes
    assert [ "$status" -ne 0 ]
    assert_output --partial "$words"
    refute_output --partial 'stop: the old apps'
    (cd "$SITE" && eval "$mending")
    assert_equal "$(old_list '{{.ID}} {{.State}}')" "$before"
    run -0 page ''
    assert_output 'the old site'
    # Nothing is left of it.
    assert_equal "$(docker ps --all --quiet --filter label=com.docker.compose.project=avril-site-trial)" ''
    assert_equal "$(docker volume ls --quiet --filter label=com.docker.compose.project=avril-site-trial)" ''
  done <<'TABLE'
cp -p postgres/start.sh kept; echo 'exit 1' >postgres/start.sh%mv kept postgres/start.sh%avril-site-trial-postgres-1
cp -p nginx/routes.conf kept; sed -i 's|location /mon-espace/ {|&return 503;|' nginx/routes.conf%mv kept nginx/routes.conf%the trial failed: nuxt_profile shows no page: /mon-espace/ is answered with 503
TABLE
}

@test "a Compose project that has the name of the trial's is somebody else's, and is not touched" {
  local labels=(--label com.docker.compose.project=avril-site-trial --label com.docker.compose.service=minio)
  docker create --name avril-test-beside "${labels[@]}" "$(image_of nginx)" 3>&-
  docker volume create "${labels[0]}" "${labels[1]}" avril-site-trial_theirs
  run -78 script setup --from "$OLD" --cutover --yes
  assert_output --partial "somebody else's: avril-test-beside, avril-site-trial_theirs"
  run -0 docker rm avril-test-beside
  run -0 docker volume rm avril-site-trial_theirs
  run -0 page ''
  assert_output 'the old site'
}

# bats test_tags=long
@test "a cutover that fails gives the site back to the old stack, and nothing is in the way of the next one" {
  local before
  before=$(old_list '{{.ID}}')
  # The new server of the database ends at once, after the trial.
  docker_that <<'SH'
case $* in stop\ *) if once broken; then cp -p "$SITE/postgres/start.sh" "$SITE/kept"; echo 'exit 1' >"$SITE/postgres/start.sh"; fi ;; esac
SH
  PATH=$BIN:$PATH run script setup --from "$OLD" --cutover --yes
  assert [ "$status" -ne 0 ]
  assert_output --partial 'the cutover failed'
  assert_output --partial 'the old site was started again'
  mv "$SITE/kept" "$SITE/postgres/start.sh"
  assert_equal "$(old_list '{{.ID}}')" "$before"
  run -0 page ''
  assert_output 'the old site'
  assert_equal "$(docker volume ls --quiet --filter name=avril-site_postgres)" ''
}

@test "SIGTERM in the middle of a cutover: the old site is started again before it ends with 143" {
  exec_script setup --from "$OLD" --cutover --yes >"$BATS_TEST_TMPDIR/out" 2>&1 &
  local pid=$!
  await_line "$BATS_TEST_TMPDIR/out" 'stop: the old apps'
  kill -TERM "$pid"
  local code=0
  wait "$pid" || code=$?
  assert_equal "$code" 143
  run -0 cat "$BATS_TEST_TMPDIR/out"
  assert_output --partial 'the old site was started again'
  run -0 page ''
  assert_output 'the old site'
  run -0 old_list '{{.State}}'
  refute_output --partial exited
}

# bats test_tags=long
@test "kill -9 in the middle of a cutover, and of the one after it: --back starts all of the old site again" {
  local pid code
  for _ in 1 2; do
    : >"$BATS_TEST_TMPDIR/out"
    exec_script setup --from "$OLD" --cutover --yes >"$BATS_TEST_TMPDIR/out" 2>&1 &
    pid=$! code=0
    await_line "$BATS_TEST_TMPDIR/out" 'dump: the last one'
    kill -KILL "$pid"
    wait "$pid" || code=$?
    assert_equal "$code" 137
  done
  run -0 script setup --from "$OLD" --back --yes
  run -0 page ''
  assert_output 'the old site'
  run -0 old_list '{{.State}}'
  refute_output --partial exited
}

@test "the site is taken over with all rows and files, those of the last moment too, and nothing of the old one is removed" {
  run -64 script setup --from "$OLD" --cutover
  assert_output --partial 'needs a yes'
  # Nothing that was started for it goes on running.
  assert_equal "$(docker ps --quiet --filter label=com.docker.compose.project=avril-site)" ''
  run -0 page ''
  assert_output 'the old site'
  # Besides: a role with a password and settings, a database and a bucket that nobody brings, a container that may
  # write.
  old_sql "create role metabase login password 'secret'; alter role metabase set statement_timeout = '5s'"
  old_sql 'create database other'
  old_compose exec -T minio mc --quiet mb old/another >/dev/null
  old_compose run --detach --no-deps --name avril-test-old-beside phoenix sleep 600
  # What is written after the first dump and the first copy: just before the old apps are stopped.
  docker_that <<'SH'
case $* in
  # What is tried out reaches nobody, and nobody it.
  *avril-site-trial*down*) { docker network inspect --format 'internal {{.Internal}}' avril-site-trial_default 2>/dev/null && docker port avril-site-trial-nginx-1; } >"$BATS_TEST_TMPDIR/trial" ;;
  stop\ *)
    if once last; then
      old_sql "insert into users values (501, 'last@example.org')"
      old_put 3/last.pdf 'the last file'
      old_remove 1/cv.pdf
    fi
    ;;
  *pg_dump*) if [ -d "$BATS_TEST_TMPDIR/bin/last" ] && once seen; then until page '' >"$BATS_TEST_TMPDIR/seen"; do sleep 0.1; done; fi ;;
esac
SH
  PATH=$BIN:$PATH run -0 script setup --from "$OLD" --cutover --yes
  assert [ -d "$BIN/last" ]
  assert_output --regexp 'database: [0-9]+ tables, [0-9]+ rows, each compared'
  assert_output --regexp 'database +dumped in .* compared: [0-9]+ tables, [0-9]+ rows; this is done once more'
  assert_output --partial 'warning: not restored: '
  assert_output --partial 'CREATE INDEX fragile'
  assert_output --regexp 'they showed /ma-candidature-vae/hotjar, /mon-espace/, /, [0-9.]+ s after the start'
  assert_output --regexp 'for about [0-9.]+ s'
  assert_output --partial 'stopped   avril-test-old-beside too'
  assert_output --partial 'left      the database other of the old stack stays there'
  assert_output --partial 'left      the bucket another of the old stack stays there'
  assert_output --regexp '1 of them copied at the end, 1 removed that the old site no longer had'
  assert_equal "$(docker inspect --format '{{.State.Running}}' avril-test-old-beside)" false
  docker rm avril-test-old-beside
  # The database as the new apps want it, in the trial and then for good.
  assert_equal "$(grep -c '→ migrate: phoenix, mix ecto.migrate' <<<"$output")" 2
  assert_output --regexp 'this site has taken over, after [0-9.]+ s without service'
  run -0 cat "$BATS_TEST_TMPDIR/trial"
  assert_output 'internal true'
  # What visitors saw meanwhile.
  run -0 grep '<h1>' "$BATS_TEST_TMPDIR/seen"
  assert_output --partial 'Le service revient dans quelques minutes'
  assert [ ! -e "$SITE/nginx/live/50x.html" ]
  run -0 page mon-espace/version
  assert_output --partial '"app":"avril-profil"'
  run -0 new_sql "select count(*), max(email) filter (where id = 501) from users where place is not null or id = 501"
  assert_output '501|last@example.org'
  run -0 new_sql "select rolcanlogin, rolpassword like 'SCRAM%', array_to_string(setconfig, ',') from pg_authid join pg_db_role_setting on setrole = pg_authid.oid where rolname = 'metabase'"
  assert_output 't|t|statement_timeout=5s'
  # Not twice: neither from the beginning, nor by one that had asked its question before.
  run -78 script setup --from "$OLD" --cutover --yes
  assert_output --partial "the site of $OLD was taken over at"
  assert_output --partial -- '--back'
  refute_output --partial 'volume rm'
  run -78 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" --input-type=module --eval '
    const { cutOver } = await import(`${process.argv[1]}/lib/setup/cut_over.ts`)
    const { loadSettings } = await import(`${process.argv[1]}/lib/system/settings.ts`)
    await cutOver({ settings: loadSettings() }).catch(error => { console.log(error.message); process.exitCode = error.exitCode })' "$SITE"
  assert_output --partial 'was taken over at'
  run -0 page mon-espace/version
  run -0 new_list
  assert_output --partial '2/é +#.pdf'
  assert_output --partial '3/last.pdf'
  refute_output --partial '1/cv.pdf'
  run -0 old_list '{{.Names}} {{.State}}'
  assert_output "avril-test-old_minio_1 exited
avril-test-old_nginx_1 exited
avril-test-old_nuxt_booklet_1 exited
avril-test-old_nuxt_profile_1 exited
avril-test-old_phoenix_1 exited
avril-test-old_postgres_1 exited"
  # Not even a boot of the machine starts it.
  run -0 old_policies
  refute_output --regexp 'always|unless-stopped'
  # Each night it is this site that is saved, when the old one was.
  run -0 cat /etc/cron.d/avril-test-old
  assert_output --regexp '^# replaced by .*/scripts/setup.ts --cutover: 30 2 '
  run -0 grep -c '^30 2 \* \* ' /etc/cron.d/avril-site-backup
  # The archive begins, and nothing of the trial is in it.
  run -0 docker exec --user postgres avril-site-wal-1 sh -c 'ls /wal /wal/segments'
  refute_output --partial former
  run -0 docker inspect --format '{{.State.Health.Status}}' avril-site-wal-1
  assert_output healthy
}

@test "a dump of the old site is restored without more, and taken back" {
  # Everything but the index that cannot be made again.
  run -76 script backup_restore "$OLD/db/dumps/of-a-week-ago.dump" --yes
  run -0 new_sql 'select count(*) from users'
  assert_output 400
  run -0 script backup_restore --undo --yes
  run -0 new_sql 'select count(*) from users'
  assert_output 501
}

@test "--back is refused before anything stops: another command at work, a container that is gone, another folder" {
  local note="$SITE/.state/cutover.json"
  run -75 flock "$SITE/.state/lock" node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" \
    "$SITE/scripts/setup.ts" --from "$OLD" --back --yes
  cp "$note" "$BATS_TEST_TMPDIR/note"
  sed -i 's/"stopped":\[/&{"id":"0123456789abcdef","name":"old_gone_1","restart":"no","well":true},/' "$note"
  run -69 script setup --from "$OLD" --back --yes
  assert_output --partial 'of the old stack are gone: old_gone_1'
  echo '{"time":' >"$note"
  run -69 script setup --from "$OLD" --back --yes
  assert_output --partial 'nobody knows what the cutover stopped'
  cp "$BATS_TEST_TMPDIR/note" "$note"
  run -64 script setup --from /somewhere/else --back --yes
  assert_output --partial "the site was taken over from $OLD"
  run -0 page mon-espace/version
  run -0 old_list '{{.State}}'
  refute_output --partial running
}

@test "--back gives the site back, as it was" {
  run -0 script setup --from "$OLD" --back --yes
  assert_output --partial 'the old site runs again'
  run -0 cat /etc/cron.d/avril-test-old
  assert_output --regexp '^30 2 '
  assert [ ! -e /etc/cron.d/avril-site-backup ]
  assert [ ! -e /etc/cron.d/avril-site-ship ]
  run -0 old_policies
  assert_output --partial 'nginx unless-stopped'
  assert_output --partial 'phoenix always'
  run -0 page ''
  assert_output 'the old site'
  run -0 instances nginx
  assert_output --partial 'Exited'
  run -0 old_sql 'select count(*) from users'
  assert_output 501
  run -78 script setup --from "$OLD" --cutover --yes
  assert_output --partial 'has a database already'
  run -0 page ''
  assert_output 'the old site'
}

# The machine with the old site, as ssh reaches it: this one, by two addresses of it, with another port for the new
# site. Sets HERE_SEEN, the address of this machine as that one sees it.
old_machine() {
  GATEWAY=$(ip -4 -o addr show dev docker0 | sed 's|.* inet \([0-9.]*\)/.*|\1|')
  if [ ! -d "$BATS_FILE_TMPDIR/ssh" ]; then
    sshd_up "$SSH_PORT"
    printf 'export %s=%q\n' SSH_DIR "$SSH_DIR" PATH "$PATH" XDG_RUNTIME_DIR "$XDG_RUNTIME_DIR" >"$BATS_FILE_TMPDIR/sshd"
    serve "$GATEWAY" "$AWAY_PORT"
    printf '[%s]:%s %s\n' "$GATEWAY" "$AWAY_PORT" "$(cut -d' ' -f1,2 "$SSH_DIR/host.pub")" >>"$SSH_DIR/known"
    host away "$AWAY_PORT" "HostName $GATEWAY"
  fi
  # shellcheck source=/dev/null
  . "$BATS_FILE_TMPDIR/sshd"
  # Docker's rules may have made another of it.
  HERE_SEEN=$(ssh away 'echo "${SSH_CONNECTION%% *}"')
}

@test "an old site on another machine: its settings and its dumps are read there" {
  old_machine
  mv "$SITE/.env" "$BATS_TEST_TMPDIR/env"
  run -0 script setup --from "server:$OLD" --dry-run
  mv "$BATS_TEST_TMPDIR/env" "$SITE/.env"
  assert_output --partial "from server:$OLD/.env, which stays as it is"
  assert_output --partial 'renamed   AWS_ACCESS_KEY_ID'
  assert_output --partial "  server:$OLD/db/dumps/of-a-week-ago.dump ("
  assert_output --partial "server:$OLD/docker-compose.override.yml is not taken over"
  local from code words
  while IFS='|' read -r from code words; do
    run "-$code" script setup "--from=$from" --cutover --yes
    assert_output --partial "$words"
  done <<TABLE
server:relative|64|is neither a folder nor host:/folder
-oProxyCommand=x:/etc|64|is neither a folder nor host:/folder
server:/no/such folder|78|there is no folder /no/such folder
nobody.invalid:$OLD|69|nobody.invalid cannot be reached: there is no host of this name
TABLE
  # Nothing of its settings stays behind.
  run -0 find "$SITE/.state" -name 'old-machine-*'
  assert_output ''
}

@test "the certificate of the old nginx is brought, from here and from another machine, and one for another name is refused" {
  old_machine
  local from
  for from in "$OLD" "server:$OLD"; do
    run -0 node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" --input-type=module --eval '
      const [site, from, ssl] = process.argv.slice(1)
      const { bringCertificate } = await import(`${site}/lib/setup/old_certificate.ts`)
      const { openOldMachine } = await import(`${site}/lib/setup/old_machine.ts`)
      const { readOldStack } = await import(`${site}/lib/setup/old_stack.ts`)
      const machine = await openOldMachine(from)
      const old = await readOldStack(machine)
      for (const WHOST of ["localhost", "avril.example.org", "avril.example.org", "other.example.org"])
        console.log(await bringCertificate(old, { WHOST, SSL_DIR: ssl }).catch(error => [error.exitCode, error.message]))
      await machine.dispose()' "$SITE" "$from" "$BATS_TEST_TMPDIR/ssl"
    assert_output "undefined
$BATS_TEST_TMPDIR/ssl/avril.example.org
undefined
[
  78,
  'the old site has https, and its nginx has no certificate for other.example.org (/ssl/avril.crt)'
]"
    run -0 diff "$OLD/ssl/avril.key" "$BATS_TEST_TMPDIR/ssl/avril.example.org/privkey.pem"
    run -0 stat --format %a "$BATS_TEST_TMPDIR/ssl/avril.example.org/privkey.pem"
    assert_output 600
    run -0 diff "$OLD/ssl/avril.crt" "$BATS_TEST_TMPDIR/ssl/avril.example.org/fullchain.pem"
    rm -r "$BATS_TEST_TMPDIR/ssl"
  done
}

# bats test_tags=long
@test "an old site on another machine is taken over: that hands on who still comes to it, and is given back" {
  old_machine
  compose rm --stop --force postgres
  docker volume rm --force avril-site_postgres
  set_env NGINX_PORT=$OTHER_PORT "NGINX_BIND=$HERE_SEEN"
  # A firewall between the two is found while the old site serves.
  iptables --insert INPUT --protocol tcp --dport "$OTHER_PORT" --jump REJECT
  run -69 script setup --from "away:$OLD" --cutover --yes
  iptables --delete INPUT --protocol tcp --dport "$OTHER_PORT" --jump REJECT
  assert_output --partial "away does not reach port $OTHER_PORT of this machine ($HERE_SEEN)"
  refute_output --partial 'trial:'

  # The line is lost in the middle: it is found again, and the old site comes back.
  docker_that <<'SH'
case $* in *pg_dump*) if once first; then :; elif once cut; then pkill --full "${XDG_RUNTIME_DIR:?}/"; fi ;; esac
SH
  PATH=$BIN:$PATH run script setup --from "away:$OLD" --cutover --yes
  assert [ "$status" -ne 0 ]
  assert_output --partial 'the line to '
  assert_output --partial 'the old site was started again, and has all that it had'
  run -0 page ''
  assert_output 'the old site'
  run -0 grep '^FORWARDED_FROM=' "$SITE/.env"
  assert_output FORWARDED_FROM=

  # One that is killed in the middle is taken up by the next.
  exec_script setup --from "away:$OLD" --cutover --yes >"$BATS_TEST_TMPDIR/out" 2>&1 &
  local pid=$! code=0
  await_line "$BATS_TEST_TMPDIR/out" 'dump: the last one'
  kill -KILL "$pid"
  wait "$pid" || code=$?
  assert_equal "$code" 137
  run -0 page ''
  assert_output --partial 'Le service revient dans quelques minutes'

  old_put 4/there.pdf 'a file there'
  local rows
  rows=$(old_sql 'select count(*) from users')
  run -0 script setup --from "away:$OLD" --cutover --yes
  assert_output --partial 'and did not end: the old apps may be stopped'
  assert_output --partial "$PORT of away: it hands on to this machine ($HERE_SEEN) who still comes there"
  assert_output --partial "now lead the site's name (DNS) to this machine"
  assert_output --regexp 'this site has taken over, after [0-9.]+ s without service'
  run -0 grep '^FORWARDED_FROM=' "$SITE/.env"
  assert_output --regexp '^FORWARDED_FROM=[0-9.]+$'
  # Who still comes there gets this site.
  run -0 page mon-espace/version
  assert_output --partial '"app":"avril-profil"'
  run -0 new_sql 'select count(*) from users'
  assert_output "$rows"
  run -0 new_list
  assert_output --partial 4/there.pdf
  run -0 old_list '{{.State}}'
  refute_output --partial running
  run -0 cat /etc/cron.d/avril-test-old
  assert_output --regexp '^# replaced by .*/scripts/setup.ts --cutover: 30 2 '

  run -0 script setup --from "away:$OLD" --back --yes
  assert_output --partial 'the old site runs again'
  run -0 page ''
  assert_output 'the old site'
  assert_equal "$(docker ps --all --quiet --filter name=avril-test-old-forwarder)" ''
  run -0 old_policies
  assert_output --partial 'phoenix always'
  run -0 cat /etc/cron.d/avril-test-old
  assert_output --regexp '^30 2 '
}

@test "what is not there is said" {
  mkdir -p "$BATS_TEST_TMPDIR/other"
  echo COMPOSE_PROJECT_NAME=avril-test-nobody >"$BATS_TEST_TMPDIR/other/.env"
  run -69 script setup --from "$BATS_TEST_TMPDIR/other" --cutover --yes
  assert_output --partial 'there is no container of the old stack'
  run -64 script setup --cutover
  assert_output --partial 'go with --from'
}
