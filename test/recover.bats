#!/usr/bin/env bats
# A lost server: a clean Debian with nothing but Node, this checkout, the .env of the lost site, and the key to what is
# in its bucket (Ceph).

# shellcheck disable=SC2154 # bats sets these in `run`
load helpers/site
load helpers/archive
load setup/server

setup_file() {
  "$HERE/images.sh" ceph
  export SERVER=avril-test-recover SETS=$BATS_FILE_TMPDIR/sets KEY=$BATS_FILE_TMPDIR/key.txt
  export S3_KEY=offsite S3_SECRET=offsite-secret AWAY=avril-test-recover-away
  docker rm --force --volumes "$AWAY" >/dev/null 2>&1 || true
  docker run --detach --name "$AWAY" --env S3_KEY --env S3_SECRET avril-ceph:forky >/dev/null
  S3_ENDPOINT=http://$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$AWAY"):9000
  export S3_ENDPOINT
  server_remove
  site_make avril-test-lost 18485
  save_images "$PLAY/images.tar" &
  local saving=$!
  age-keygen --output "$KEY" 2>/dev/null
  set_env "BACKUP_DIR=$SETS"
  printf '%s\n' "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY")" "OFFSITE_ENDPOINT=$S3_ENDPOINT" OFFSITE_BUCKET=away \
    "OFFSITE_ACCESS_KEY_ID=$S3_KEY" "OFFSITE_SECRET_ACCESS_KEY=$S3_SECRET" WAL=on >>"$SITE/.env"
  compose up --detach --wait --quiet-pull postgres minio wal 2>&1
  timeout 120 sh -c "until docker exec $AWAY test -e /ready; do sleep 0.5; done"
  away make away versions
  lose_a_site
  wait "$saving"
  server_up "$PLAY"
}

teardown_file() {
  server_remove
  docker rm --force --volumes "$AWAY" >/dev/null
  site_down
}

# By this checkout: the lost site has no packages any more.
away() {
  (cd "$CHECKOUT" && AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true node --import tsx test/helpers/away.ts \
    "$@" 3>&-)
}
lost() { docker exec --interactive "$STACK-postgres-1" psql -XqAt -v ON_ERROR_STOP=1 -U avril -d avril 3>&-; }
found() { on docker exec "$STACK-postgres-1" psql -XqAt -U avril -d avril "$@"; }

# A site with a set, a base, what was committed after them, and shipped; then all of it is gone but the bucket.
lose_a_site() {
  lost <<<"create table letters as select n as id, 'letter ' || n as text from generate_series(1, 5000) n; create role reader login password 'of its own'; grant select on letters to reader"
  # shellcheck disable=SC2016 # for the shell in the container
  docker exec -i "$STACK-minio-1" sh \
    -c 'MC_HOST_m="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000" exec mc --quiet pipe m/avril/photo.txt' <<<'a photo' 3>&-
  script backup >/dev/null
  local from
  for from in 5001 5101 5201; do
    lost <<<"insert into letters select n, 'after the base ' || n from generate_series($from, $from + 99) n"
    script backup --ship
  done
  away make other versions
  away copy away other
  compose down --volumes --timeout 2 2>&1
  rm -rf "${SETS:?}" "$SITE/db" "$SITE/.state" "$SITE/node_modules"
  set_env BACKUP_DIR=/mnt/backups/avril
  # It had several servers, and comes back on one.
  printf '%s\n' SWARM=10.0.0.1 \
    COMPOSE_FILE=docker-compose.yml:docker-compose.swarm.yml:docker-compose.releases.yml >>"$SITE/.env"
}

@test "one command, killed in the middle and run again: the rows up to the last second that was shipped, the files, the site" {
  on sh -c 'umask 077; cat >/run/key.txt' <"$KEY"
  run -64 set_up --recover --yes
  assert_output --partial 'is encrypted'
  run -64 set_up --recover --key /run/key.txt
  assert_output --partial 'all that was committed until'
  assert_output --partial '1 uploaded file'
  assert_output --partial 'it had several servers, and comes back on this one alone'

  : >"$BATS_TEST_TMPDIR/out"
  exec_setup --recover --key /run/key.txt --yes >"$BATS_TEST_TMPDIR/out" 2>&1 &
  local setup=$!
  timeout 900 tail --pid="$setup" --lines=+1 --follow "$BATS_TEST_TMPDIR/out" | grep --quiet 'replaying the WAL'
  signal_setup KILL
  await_exit "$setup" 137

  run -0 set_up --recover --key /run/key.txt --yes
  grep -E '✓ localhost is back' <<<"$output" >&3
  assert_output --partial '5,301 rows in 2 tables'
  assert_output --partial "files     1, of $STACK-"
  assert_output --partial 'backups   go on'
  run -0 found -c 'select count(*), max(id) from letters'
  assert_output '5300|5300'
  run -0 found -c "select has_table_privilege('reader', 'letters', 'select')"
  assert_output t
  run -0 on docker exec "$STACK-nginx-1" curl -fsS http://127.0.0.1/mon-espace/version
  assert_output --partial '"app":"avril-profil"'
  # shellcheck disable=SC2016 # for the shell in the container
  run -0 on docker exec "$STACK-minio-1" sh \
    -c 'MC_HOST_m="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000" exec mc --quiet cat m/avril/photo.txt'
  assert_output 'a photo'
  run ! on grep -E '^(SWARM|COMPOSE_FILE=.*swarm)' .env
  run -78 set_up --recover --key /run/key.txt --yes
  assert_output --partial 'this machine has a database already'
}

# wipe [FOLDER]: the machine as it was before it was recovered, but for its programs and images; FOLDER goes instead of
# the backups
wipe() {
  # A test that failed may have left its disk there.
  on sh -c '! mountpoint -q /mnt/backups || umount /mnt/backups'
  # shellcheck disable=SC2016 # for the shell there
  on sh -c 'rm -f /etc/cron.d/avril-test-lost*; for process in /proc/[0-9]*; do grep -qs -- '[-]-ship' "$process/cmdline" && kill "${process#/proc/}"; done; true'
  on docker compose down --volumes --timeout 2 >/dev/null 2>&1
  on rm -rf .state db "${@:-/mnt/backups}"
}
set_away() { on sed -i "s/^OFFSITE_BUCKET=.*/OFFSITE_BUCKET=$1/" .env; }
recover() { set_up --recover --key /run/key.txt "$@"; }
plan() { recover --dry-run; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# setting, code, words: what is wrong with .env or the command line is said before anything is done
refusals() {
  cat <<'END'
s/^OFFSITE_.*//|64|there is neither a backup set nor a chain of the archive
s/^OFFSITE_BUCKET=.*/OFFSITE_BUCKET=nowhere/|78|has no bucket nowhere
s/^OFFSITE_PREFIX=.*//; $ a OFFSITE_PREFIX=nobody|64|is the bucket the right one
s/^OFFSITE_SECRET_ACCESS_KEY=.*/OFFSITE_SECRET_ACCESS_KEY=wrong/|78|refuses the key
s,^OFFSITE_ENDPOINT=.*,OFFSITE_ENDPOINT=http://127.0.0.1:1,|69|can this machine reach it
END
}

# bats test_tags=long
@test "an empty bucket, no network, no settings, another key and no .env are each said before anything is done" {
  local change code words
  wipe
  on cp .env /run/site.env
  while IFS='|' read -r change code words; do
    on sed -i "$change" .env
    run "-$code" recover --yes
    assert_output --partial "$words"
    on cp /run/site.env .env
  done < <(refusals)
  on sh -c 'cat >/run/other.txt' < <(age-keygen 2>/dev/null)
  run -65 set_up --recover --key /run/other.txt --yes
  assert_output --partial 'nothing was touched; it was encrypted to'
  on sh -c 'mkdir /mnt/backups; mount -t tmpfs -o size=1m tmpfs /mnt/backups'
  run -74 recover --yes
  on sh -c 'umount /mnt/backups; rmdir /mnt/backups'
  on mv .env ..
  run -78 recover --yes
  assert_output --partial 'there is no .env'
  on mv ../.env .
  run -0 on sh -c 'docker volume ls --quiet; ls /mnt'
  assert_output ''
}

# bats test_tags=long
@test "kill -9 in each step: the next run goes on, and transfers nothing twice" {
  local step
  wipe
  for step in '→ machine' '→ fetch: the chain' '→ fetch: avril' '→ images' '→ stage' 'unpacking the base' 'replaying the WAL' '→ start' '→ migrate' '→ files' '→ setup' '→ archive'; do
    : >"$BATS_TEST_TMPDIR/out"
    exec_setup --recover --key /run/key.txt --yes >"$BATS_TEST_TMPDIR/out" 2>&1 &
    local setup=$!
    await_line "$BATS_TEST_TMPDIR/out" "$step"
    signal_setup KILL
    await_exit "$setup" 137
  done
  run -0 recover --yes
  assert_output --partial 'goes on   the database came back of'
  refute_output --partial 'replaying the WAL'
  run -0 found -c 'select count(*), max(id) from letters'
  assert_output '5300|5300'
}

# bats test_tags=long
@test "a piece that is damaged, and one that is missing: all before it comes back, and what is lost is said; --as-of brings all" {
  local pieces whole
  wipe
  set_away other
  mapfile -t pieces < <(away list other "$STACK/archive/" | sed -n 's/^version \(.*\/wal\/.*\.zst\.age\)$/\1/p' |
    sort -u)
  whole=$(now)
  sleep 1.1
  away spoil other "${pieces[-1]}"
  run -0 plan
  refute_output --partial 'is not whole behind that'
  run -0 recover --yes
  assert_output --partial 'what comes later is damaged'
  run -0 found -c 'select max(id) from letters'
  assert_regex "$output" '^5[012]00$'
  wipe
  away remove other "${pieces[-2]}"
  run -0 plan
  assert_output --partial 'is not whole behind that'
  run -0 recover --as-of "$whole" --yes
  assert_output --partial '5,301 rows in 2 tables'
}

# bats test_tags=long
@test "without an archive the newest set comes back, and it is said what is lost" {
  wipe
  set_away other
  away remove other "$STACK/archive/"
  run -0 recover --yes
  assert_output --partial 'there is no archive that is whole'
  assert_output --partial '5,001 rows in 2 tables'
  run -0 found -c "select has_table_privilege('reader', 'letters', 'select')"
  assert_output t
  run -78 recover --yes
}

# bats test_tags=long
@test "the disk of BACKUP_DIR alone, where nothing is encrypted: no key, no bucket, the last second; and an earlier one" {
  local before
  on sed -i -e '/^OFFSITE_/d' -e '/^BACKUP_RECIPIENTS/d' .env
  run -0 on node --import tsx scripts/backup.ts
  before=$(found -c "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') from pg_sleep(0.01)")
  found -c 'select pg_sleep(0.01)'
  found -c "insert into letters values (9000, 'the last')"
  run -0 on node --import tsx scripts/backup.ts --ship
  wipe .state
  run -0 set_up --recover --at "$before" --dry-run
  assert_output --partial 'all that was committed at'
  run -0 set_up --recover --yes
  assert_output --partial 'in BACKUP_DIR'
  run -0 found -c 'select max(id) from letters'
  assert_output 9000
  wipe .state
  run -0 set_up --recover --at "$before" --yes
  run -0 found -c 'select max(id) from letters'
  assert_output 5000
}

# laptop_up: a laptop with a clone of these scripts, and ssh to the new machine, which has Node and nothing of ours
laptop_up() {
  export LAPTOP=$BATS_TEST_TMPDIR/laptop
  local git=(git -C "$LAPTOP" -c user.name=laptop -c user.email=laptop@example.org)
  mkdir -p "$LAPTOP" "$BATS_TEST_TMPDIR/bin"
  cp -R "$SITE/." "$LAPTOP"
  mv "$LAPTOP/.env" "$BATS_TEST_TMPDIR/site.env"
  "${git[@]}" init --quiet --initial-branch=main
  "${git[@]}" add --all
  "${git[@]}" commit --quiet --message='the scripts'
  "${git[@]}" remote add origin https://me:secret@example.org/scripts
  ln -s "$CHECKOUT/node_modules" "$LAPTOP/node_modules"
  ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/id"
  server_remove
  server_up "$PLAY"
  on sh -ec 'find . -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +; umask 077; mkdir -p /root/.ssh /run/sshd; cat >/root/.ssh/authorized_keys
    rm -rf /mnt/backups; apt-get update && apt-get install -y --no-install-recommends openssh-server && /usr/sbin/sshd' <"$BATS_TEST_TMPDIR/id.pub"
  printf '%s\n' 'Host new' "HostName $(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$SERVER")" \
    'User root' "IdentityFile $BATS_TEST_TMPDIR/id" \
    'StrictHostKeyChecking no' "UserKnownHostsFile $BATS_TEST_TMPDIR/known" >"$BATS_TEST_TMPDIR/config"
  printf '#!/bin/sh\nexec %s -F "%s/config" "$@"\n' "$(command -v ssh)" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/bin/ssh"
  chmod +x "$BATS_TEST_TMPDIR/bin/ssh"
  export PATH=$BATS_TEST_TMPDIR/bin:$PATH XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR
}
laptop() { node "$LAPTOP/scripts/setup.js" "$@" </dev/null 3>&-; }

# bats test_tags=long
@test "from a laptop: the scripts, .env and the key are brought there; the key lies on no disk, and is gone then" {
  laptop_up
  run -78 laptop --recover --on new --key "$KEY"
  assert_output --partial 'there is no .env'
  run -0 laptop --recover --on new --key "$KEY" --env "$BATS_TEST_TMPDIR/site.env" --yes
  grep -E '✓ localhost is back' <<<"$output" >&3
  assert_output --partial '5,301 rows in 2 tables'
  # shellcheck disable=SC2016 # for the shell there
  run -0 on sh -c 'stat -c %a .env; git remote get-url origin; git status --porcelain; find /dev/shm /run -name "avril-key.*"; grep -rslF "$0" /home/docker /root /mnt /tmp /dev/shm /run || true' "$(grep AGE-SECRET "$KEY")"
  assert_output '600
https://example.org/scripts'
  echo WHOST=elsewhere >>"$BATS_TEST_TMPDIR/site.env"
  run -78 laptop --recover --on new --key "$KEY" --env "$BATS_TEST_TMPDIR/site.env" --yes
}
