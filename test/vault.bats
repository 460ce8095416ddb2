#!/usr/bin/env bats
# Encrypted backup sets: nothing clear on their disk, shared between sets without the private key, and read again with it.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() {
  export PLAY="$BATS_FILE_TMPDIR/a site" STACK=avril-test-vault
  export SITE=$PLAY/avril-scripts SETS="$BATS_FILE_TMPDIR/the sets" KEY=$BATS_FILE_TMPDIR/key.txt OTHER=$BATS_FILE_TMPDIR/other.txt
  docker ps --all --quiet --filter "label=com.docker.compose.project=$STACK" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  docker volume rm --force "${STACK}_postgres" "${STACK}_minio" >/dev/null
  STACK_NAME=$STACK STACK_PORT=18431 "$HERE/stack.sh" "$PLAY"
  set_env "BACKUP_DIR='$SETS'"
  age-keygen --output "$KEY" 2>/dev/null
  age-keygen --output "$OTHER" 2>/dev/null
  optional "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY")"
  compose up --detach --wait --quiet-pull postgres minio 2>&1
  db <<<"create table visitors as select n as id, 'visitor ' || n as name from generate_series(1, 5000) n"
  put 'letter of Dupont.txt' 'Dear Dupont'
  put photo.txt 'a photo'
}

teardown_file() { compose down --volumes --remove-orphans --timeout 2 2>&1; }

setup() { DUMPS=$SITE/db/dumps; }

teardown() {
  if [ -n "${LOCK_FD:-}" ]; then release_table; fi
}

# optional NAME=VALUE: sets one of the settings that .env may lack
optional() {
  sed -i "/^${1%%=*}=/d" "$SITE/.env"
  printf '%s\n' "$1" >>"$SITE/.env"
}

backup() { script backup "$@"; }
restore() { script backup_restore --yes "$@" </dev/null; }
db() { docker exec -i "$STACK-postgres-1" psql -qAtX -v ON_ERROR_STOP=1 -U avril -d avril 3>&-; }
in_minio() {
  # shellcheck disable=SC2016 # for the shell in the container
  docker exec -i "$STACK-minio-1" sh -c 'MC_HOST_m="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000" exec mc --quiet "$@"' mc "$@" 3>&-
}
# put KEY CONTENT
put() { in_minio pipe "m/avril/$1" <<<"$2"; }
newest() { find "$SETS" -mindepth 1 -maxdepth 1 -type d -name '*Z' | sort | tail -n 1; }
field() { node -p "JSON.parse(require('fs').readFileSync(process.argv[1] + '/manifest.json')).$2" "$1"; }
# The inodes of the contents in a set.
inodes() { find "$1/objects" -type f -printf '%i\n' | sort; }

# What is no manifest and no list must be encrypted.
assert_no_clear_file() {
  local file
  while IFS= read -r file; do assert_equal "$file: $(head -c 21 "$file")" "$file: age-encryption.org/v1"; done < <(find "$SETS" -type f ! -name manifest.json ! -name objects.sha256)
  run -1 grep -rlaE 'PGDMP|Dupont|a photo|CREATE ROLE|visitor 1' "$SETS"
}

assert_nothing_left() {
  run -0 find "$SETS" "$DUMPS" -name '*.partial' -o -name '.restoring-*' -o -name '.backing-up-*' -o -name '.reading-*'
  assert_output ''
}

# backup_held: starts a backup as BACKUP that waits in its step "dump" for a table, until release_table
backup_held() {
  mkfifo "$BATS_TEST_TMPDIR/lock"
  db <"$BATS_TEST_TMPDIR/lock" >"$BATS_TEST_TMPDIR/locked" &
  LOCK_PID=$!
  exec {LOCK_FD}>"$BATS_TEST_TMPDIR/lock"
  printf "begin; lock table visitors; select 'locked';\n" >&"$LOCK_FD"
  await_line "$BATS_TEST_TMPDIR/locked" locked
  exec_script backup >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  BACKUP=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ dump'
}

release_table() {
  # Not by closing the pipe alone: what runs in the background has inherited it.
  printf 'rollback;\n\\q\n' >&"$LOCK_FD" || true
  exec {LOCK_FD}>&-
  wait "$LOCK_PID" || true
  LOCK_FD=
}

@test "a public key that is mistyped, or a secret one, is refused with 78 before anything starts, and a secret is not shown" {
  local good secret
  good=$(age-keygen -y "$KEY")
  secret=$(grep SECRET "$KEY")
  optional "BACKUP_RECIPIENTS=$secret"
  run --separate-stderr -78 backup
  assert_regex "$stderr" 'line [0-9]+: BACKUP_RECIPIENTS is not'
  refute_regex "$stderr" "$secret"
  optional "BACKUP_RECIPIENTS=${good%?}$([[ $good = *q ]] && echo p || echo q)"
  run --separate-stderr -78 backup
  assert_regex "$stderr" 'is no public key of age'
  assert [ ! -e "$SETS" ]
  optional "BACKUP_RECIPIENTS=$good"
}

@test "no clear file is on the disk of the sets; the program age opens each with the key; latest.dump stays readable" {
  run --separate-stderr -0 backup
  local set=$output file
  assert_no_clear_file
  run -0 find "$SETS" "$SITE/.state/objects.jsonl" "$DUMPS" -type f -perm /077
  assert_output ''
  assert_equal "$(age --decrypt --identity "$KEY" "$set/database.dump.age" | sha256sum)" "$(field "$set" 'files["database.dump.age"].plain.sha256')  -"
  assert_equal "$(sha256sum <"$DUMPS/latest.dump")" "$(field "$set" 'files["database.dump.age"].plain.sha256')  -"
  assert_equal "$(sha256sum <"$set/database.dump.age")" "$(field "$set" 'files["database.dump.age"].sha256')  -"
  run -0 age --decrypt --identity "$KEY" "$set/globals.sql.age"
  assert_output --partial 'CREATE ROLE avril'
  run -0 age --decrypt --identity "$KEY" "$set/objects.jsonl.age"
  assert_output --partial '"key":"letter of Dupont.txt"'
  assert_equal "$(for file in "$set"/objects/*/*; do age --decrypt --identity "$KEY" "$file"; done | sort)" $'Dear Dupont\na photo'
  (cd "$set" && sha256sum --quiet --check objects.sha256)
  run -0 backup --list
  assert_output --partial 'encrypted'
  assert_nothing_left
}

@test "the next set shares what has not changed, without the key; other recipients share nothing with it" {
  local first second third
  first=$(newest)
  put photo.txt 'a photo'
  put new.txt 'something new'
  run --separate-stderr -0 backup
  second=$output
  assert_regex "$stderr" '3 files, 2 of them new'
  # The photo came again with another date: its content is that of the first set all the same.
  assert_equal "$(comm -12 <(inodes "$first") <(inodes "$second") | wc -l)" 2
  optional "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY"),$(age-keygen -y "$OTHER")"
  run --separate-stderr -0 backup
  third=$output
  assert_equal "$(comm -12 <(inodes "$second") <(inodes "$third") | wc -l)" 0
  run -0 age --decrypt --identity "$OTHER" "$third/database.dump.age"
  run -1 age --decrypt --identity "$OTHER" "$second/database.dump.age"
  run --separate-stderr -0 backup
  assert_equal "$(inodes "$output")" "$(inodes "$third")"
  optional "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY")"
  # An index of another set is not trusted, nor one that was changed.
  sed -i 's/"bytes":8/"bytes":9/' "$SITE/.state/objects.jsonl"
  run --separate-stderr -0 backup
  assert_regex "$stderr" '3 files, 3 of them new'
  assert_no_clear_file
}

@test "the key brings back the database and the files; without it, with another one, or from a damaged set nothing is touched" {
  local set content
  set=$(basename "$(newest)")
  db <<<'delete from visitors where id > 10'
  in_minio rm 'm/avril/letter of Dupont.txt'
  run --separate-stderr -64 restore "$set"
  assert_regex "$stderr" 'is encrypted'
  run --separate-stderr -64 restore --key "$BATS_TEST_TMPDIR/nowhere" "$set"
  run --separate-stderr -65 restore --key "$OTHER" "$set"
  assert_regex "$stderr" 'does not open the set'
  age --encrypt --recipient "$(age-keygen -y "$KEY")" --output "$BATS_TEST_TMPDIR/protected" "$KEY"
  run --separate-stderr -65 restore --key "$BATS_TEST_TMPDIR/protected" "$set"
  assert_regex "$stderr" 'protected by a passphrase'
  cp -a "$SETS/$set" "$SETS/damaged-20260101T000000Z"
  printf X | dd of="$SETS/damaged-20260101T000000Z/database.dump.age" bs=1 seek=5000 conv=notrunc status=none
  run --separate-stderr -65 restore --key "$KEY" damaged
  assert_regex "$stderr" 'cannot be decrypted'
  cp "$SETS/$set/database.dump.age" "$SETS/damaged-20260101T000000Z/"
  for content in "$SETS"/damaged-20260101T000000Z/objects/*/*; do cp --remove-destination "$KEY" "$content"; truncate --reference="$SETS/$set/${content#"$SETS/damaged-20260101T000000Z/"}" "$content"; done
  in_minio rm m/avril/photo.txt
  run --separate-stderr -1 restore --key "$KEY" --files damaged
  assert_regex "$stderr" 'not all of the files: .*damaged'
  rm -r "$SETS/damaged-20260101T000000Z"
  run -0 restore --undo
  assert_equal "$(db <<<'select count(*) from visitors')" 10
  assert_nothing_left

  chmod 640 "$KEY"
  run --separate-stderr -0 restore --key "$KEY" --files "$set"
  chmod 600 "$KEY"
  assert_regex "$stderr" 'others on this server can read the key file'
  assert_regex "$stderr" '3 in the set, 2 of them brought back'
  assert_equal "$(db <<<'select count(*) from visitors')" 5000
  assert_equal "$(in_minio cat 'm/avril/letter of Dupont.txt')" 'Dear Dupont'
  run -0 tail -n 2 "$SITE/.state/audit.jsonl"
  assert_output --partial "\"what\":\"decrypting a backup\",\"set\":\"$set\""
  assert_no_clear_file
  assert_nothing_left
}

@test "a drill without the key takes latest.dump if it is the set's, with the key the set itself; --publish makes it latest.dump again" {
  local set
  set=$(basename "$(newest)")
  run --separate-stderr -0 backup --drill
  assert_regex "$stderr" 'latest.dump is restored, which has the sha256'
  mv "$DUMPS/latest.dump" "$BATS_TEST_TMPDIR/kept"
  run --separate-stderr -64 backup --drill
  assert_regex "$stderr" '--key FILE'
  run --separate-stderr -0 backup --drill --key "$KEY"
  refute_regex "$stderr" 'latest.dump'
  run --separate-stderr -64 backup --publish
  run --separate-stderr -0 backup --publish --key "$KEY" "$set"
  cmp "$DUMPS/latest.dump" "$BATS_TEST_TMPDIR/kept"
  (cd "$DUMPS" && sha256sum --quiet --check latest.dump.sha256)
  printf X | dd of="$SETS/$set/database.dump.age" bs=1 seek=5000 conv=notrunc status=none
  run --separate-stderr -65 backup --drill
  assert_regex "$stderr" 'database.dump.age of the set .* is not what it was'
  rm -r "${SETS:?}/$set"
  assert_nothing_left
}

@test "kill -9 while it dumps: nothing clear is on the disk of the sets, and the next run removes what lies beside latest.dump" {
  backup_held
  assert_no_clear_file
  run -0 find "$DUMPS" -path '*/.backing-up-*/database.dump' -perm 0600
  assert_output --partial database.dump
  kill -9 "$BACKUP"
  await_exit "$BACKUP" 137
  release_table
  run --separate-stderr -0 backup
  assert_regex "$stderr" 'removed .backing-up-.*, which an interrupted run left'
  assert_no_clear_file
  assert_nothing_left
}
