#!/usr/bin/env bats
# Encrypted backup sets: nothing clear on their disk, shared between sets without the private key, and read again with
# it; and their copies off the site.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site
load helpers/held

setup_file() {
  export SETS="$BATS_FILE_TMPDIR/the sets" KEY=$BATS_FILE_TMPDIR/key.txt OTHER=$BATS_FILE_TMPDIR/other.txt
  site_make avril-test-vault 18431
  set_env "BACKUP_DIR='$SETS'"
  age-keygen --output "$KEY" 2>/dev/null
  age-keygen --output "$OTHER" 2>/dev/null
  optional "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY")"
  compose up --detach --wait --quiet-pull postgres minio 2>&1
  psql <<<"create table visitors as select n as id, 'visitor ' || n as name from generate_series(1, 5000) n"
  put 'letter of Dupont.txt' 'Dear Dupont'
  put photo.txt 'a photo'
}

teardown_file() {
  docker rm --force --volumes "$STACK-offsite" >/dev/null
  compose down --volumes --remove-orphans --timeout 2 2>&1
}

setup() { DUMPS=$SITE/db/dumps; }

teardown() {
  if [ -n "${LOCK_PID:-}" ]; then release_table; fi
  if [ -n "${PROXY_PID:-}" ]; then proxy_end; fi
  if [ -n "${SSH_DIR:-}" ] && [ -e "$XDG_RUNTIME_DIR" ]; then sshd_down; fi
}

backup() { script backup "$@"; }
restore() { script backup_restore --yes "$@" </dev/null; }
in_minio() {
  # shellcheck disable=SC2016 # for the shell in the container
  docker exec -i "$STACK-minio-1" sh \
    -c 'MC_HOST_m="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000" exec mc --quiet "$@"' mc "$@" 3>&-
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
  while IFS= read -r file; do
    assert_equal "$file: $(head -c 21 "$file")" "$file: age-encryption.org/v1"
  done < <(find "$SETS" -type f ! -name manifest.json ! -name objects.sha256 ! -name drill.html)
  run -1 grep -rlaE 'PGDMP|Dupont|a photo|"superuser"|visitor 1' "$SETS"
}

assert_nothing_left() {
  run -0 find "$SETS" "$DUMPS" -name '*.partial' -o -name '.restoring-*' -o -name '.backing-up-*' -o -name '.reading-*'
  assert_output ''
  run -0 find "$SITE/db/work" -mindepth 1 ! -path '*/socket*'
  assert_output ''
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
  assert_regex "$stderr" 'is not a public key of age'
  assert [ ! -e "$SETS" ]
  optional "BACKUP_RECIPIENTS=$good"
}

@test "no clear file is on the disk of the sets; the program age opens each with the key; latest.dump stays readable" {
  run --separate-stderr -0 backup
  refute_regex "$stderr" 'an interrupted'
  local set=$output file
  assert_no_clear_file
  run -0 find "$SETS" "$SITE/.state/objects.jsonl" "$DUMPS" -type f -perm /077
  assert_output ''
  assert_equal "$(age --decrypt --identity "$KEY" "$set/database.dump.age" | sha256sum)" \
    "$(field "$set" 'files["database.dump.age"].plain.sha256')  -"
  assert_equal "$(sha256sum <"$DUMPS/latest.dump")" "$(field "$set" 'files["database.dump.age"].plain.sha256')  -"
  assert_equal "$(sha256sum <"$set/database.dump.age")" "$(field "$set" 'files["database.dump.age"].sha256')  -"
  run -0 age --decrypt --identity "$KEY" "$set/roles.json.age"
  assert_output --partial '"name": "avril"'
  run -0 age --decrypt --identity "$KEY" "$set/objects.jsonl.age"
  assert_output --partial '"key":"letter of Dupont.txt"'
  assert_equal "$(for file in "$set"/objects/*/*; do age --decrypt --identity "$KEY" "$file"; done | sort)" \
    $'Dear Dupont\na photo'
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
  # The index is that of a set for others; then it was changed.
  run --separate-stderr -0 backup
  assert_regex "$stderr" '3 files, 3 of them new'
  sed -i 's/$/ /' "$SITE/.state/objects.jsonl"
  run --separate-stderr -0 backup
  assert_regex "$stderr" '3 files, 3 of them new'
  assert_no_clear_file
}

@test "the key brings back the database and the files; without it, with another one, or from a damaged set nothing is touched" {
  local set content
  set=$(basename "$(newest)")
  psql <<<'delete from visitors where id > 10'
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
  for content in "$SETS"/damaged-20260101T000000Z/objects/*/*; do
    cp --remove-destination "$KEY" "$content"
    truncate --reference="$SETS/$set/${content#"$SETS/damaged-20260101T000000Z/"}" "$content"
  done
  in_minio rm m/avril/photo.txt
  run --separate-stderr -65 restore --key "$KEY" --files damaged
  assert_regex "$stderr" 'not all of the files: .*damaged'
  assert_regex "$stderr" 'files alone: scripts/backup_restore.ts --files-only --key .* .damaged.$'
  refute_regex "$stderr" 'run it again'
  run --separate-stderr -65 restore --key "$KEY" --files-only damaged
  run --separate-stderr -64 restore --files-only "$set"
  assert_regex "$stderr" 'is encrypted'
  run --separate-stderr -65 restore --key "$OTHER" --files-only "$set"
  assert_equal "$(in_minio ls m/avril/ | grep -c photo.txt)" 0
  run --separate-stderr -0 restore --key "$KEY" --files-only "$set"
  in_minio stat m/avril/photo.txt
  in_minio rm m/avril/photo.txt 'm/avril/letter of Dupont.txt'
  assert_nothing_left
  rm -r "$SETS/damaged-20260101T000000Z"
  run -0 restore --undo
  assert_equal "$(psql <<<'select count(*) from visitors')" 10
  assert_nothing_left

  chmod 640 "$KEY"
  run --separate-stderr -0 restore --key "$KEY" --files "$SETS/$set/database.dump.age"
  chmod 600 "$KEY"
  assert_regex "$stderr" 'others on this server can read the key file'
  assert_regex "$stderr" '3 files in the set, 2 of them brought back'
  run -1 grep -rlF AGE-SECRET-KEY "$SITE/.state" "$SETS" "$DUMPS"
  assert_equal "$(psql <<<'select count(*) from visitors')" 5000
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
  run -0 find "$SITE/db/work" ! -path '*/socket*' -printf '%m %f\n'
  assert_line --index 0 '700 work'
  assert_line --index 1 --partial .dump
  kill -9 "$BACKUP"
  await_exit "$BACKUP" 137
  release_table
  run --separate-stderr -0 backup
  assert_no_clear_file
  assert_nothing_left
}

@test "backup_remote brings an encrypted set to a machine that has the key, and decrypts it there" {
  load helpers/ssh
  sshd_up 18434
  run --separate-stderr -64 remote backup_remote --no-files
  assert_regex "$stderr" 'is encrypted'
  assert [ ! -e "$LAPTOP/db/dumps/latest.dump" ]
  run --separate-stderr -65 remote backup_remote --no-files --key "$OTHER"
  run --separate-stderr -0 remote backup_remote --no-files --key "$KEY"
  assert_equal "$output" "$LAPTOP/db/dumps/latest.dump"
  cmp "$LAPTOP/db/dumps/latest.dump" "$DUMPS/latest.dump"
  cmp "$LAPTOP/db/dumps/latest-roles.json" "$DUMPS/latest-roles.json"
  run -0 ls -A "$LAPTOP/db/dumps"
  assert_output $'latest-roles.json\nlatest.dump\nlatest.dump.sha256'
  sshd_down
}

# in_offsite COMMAND …: mc for the server off the site, whose bucket is o/away
in_offsite() {
  docker exec -i --env MC_HOST_o=http://offsite:offsite-secret@127.0.0.1:9000 "$STACK-offsite" mc --quiet "$@" 3>&-
}
keys() {
  in_offsite ls --recursive --json o/away |
    node -p 'require("fs").readFileSync(0, "utf8").trim().split("\n").filter(Boolean).map(line => JSON.parse(line).key).join("\n")'
}
offsite_sets() { backup --list --offsite | cut -d ' ' -f 1 | sort; }
sets_here() { find "$SETS" -mindepth 1 -maxdepth 1 -name '*Z' -printf '%f\n' | sort; }

# proxy METHOD PATTERN hold|cut|stumble|lose|halve|forge: what is copied off the site goes through a proxy
# (helpers/s3_proxy.mjs) until proxy_end
proxy() {
  node "$HERE/helpers/s3_proxy.mjs" http://127.0.0.1:18431 "$@" >"$BATS_TEST_TMPDIR/proxy" 3>&- &
  PROXY_PID=$!
  await_line "$BATS_TEST_TMPDIR/proxy" '^port'
  optional "OFFSITE_ENDPOINT=http://127.0.0.1:$(sed -n 's/^port //p' "$BATS_TEST_TMPDIR/proxy")"
}

proxy_end() {
  kill "$PROXY_PID" 2>/dev/null || true
  PROXY_PID=
  rm -f "$BATS_TEST_TMPDIR/proxy"
  optional OFFSITE_ENDPOINT=http://127.0.0.1:18431
}

@test "off the site: half of the settings, or no encryption, is refused with 78; a bucket that is missing leaves the set good here, and the next run copies both" {
  rm -rf "${SETS:?}"/*
  docker run --detach --name "$STACK-offsite" --publish 127.0.0.1:18431:9000 --env MINIO_ROOT_USER=offsite \
    --env MINIO_ROOT_PASSWORD=offsite-secret \
    "$(docker inspect --format '{{.Config.Image}}' "$STACK-minio-1")" >/dev/null
  optional OFFSITE_ENDPOINT=http://127.0.0.1:18431
  run --separate-stderr -78 backup
  assert_regex "$stderr" 'no OFFSITE_BUCKET, OFFSITE_ACCESS_KEY_ID, OFFSITE_SECRET_ACCESS_KEY'
  optional OFFSITE_BUCKET=away
  optional OFFSITE_ACCESS_KEY_ID=offsite
  optional OFFSITE_SECRET_ACCESS_KEY=another-secret
  local recipients
  recipients=$(grep ^BACKUP_RECIPIENTS "$SITE/.env")
  optional BACKUP_RECIPIENTS=
  run --separate-stderr -78 backup
  assert_regex "$stderr" 'not encrypted, so they are not copied off the site'
  run -0 sets_here
  assert_output ''
  optional "$recipients"
  timeout 30 sh -c 'until curl -fs -m 2 -o /dev/null http://127.0.0.1:18431/minio/health/live; do :; done'
  run --separate-stderr -78 backup
  assert_regex "$stderr" 'is made, and counts on this server, but the copy off the site did not end: .* refuses the key'
  refute_regex "$stderr" another-secret
  optional OFFSITE_SECRET_ACCESS_KEY=offsite-secret
  put second.txt second
  run --separate-stderr -78 backup
  assert_regex "$stderr" 'has no bucket away'
  assert_equal "$output" ''
  run script status
  assert_output --partial 'the newest backup is not off the site'
  assert_output --partial 'it is not there: '
  in_offsite mb o/away
  run --separate-stderr -0 backup
  assert_equal "$(sets_here | wc -l)" 3
  assert_equal "$(offsite_sets)" "$(sets_here)"
  # Each content once, and what is there is what is here.
  assert_equal "$(keys | grep -c "^$STACK/objects/")" "$(cat "$SETS"/*/objects.sha256 | sort -u | wc -l)"
  assert_equal "$(in_offsite cat "o/away/$STACK/sets/$(basename "$output")/database.dump.age" | sha256sum)" \
    "$(sha256sum <"$output/database.dump.age")"
  run -0 backup --list
  assert_equal "$(grep -c 'off the site too' <<<"$output")" 3
  run script status
  assert_output --partial 'off the site it is there too'
  run -1 grep -rlF -e offsite-secret -e another-secret "$SITE/.state" "$SETS"
}

# bats test_tags=long
@test "a copy that is cut, lost by the server, or killed ends with its own message, and the next run completes it" {
  local name folder
  put third.txt third
  proxy PUT 'roles.json.age' stumble
  run --separate-stderr -0 backup
  assert_regex "$stderr" 'storing .*roles.json.age off the site failed: .*; once more'
  proxy_end
  assert_equal "$(offsite_sets)" "$(sets_here)"

  proxy PUT 'roles.json.age' cut
  run --separate-stderr -69 backup
  assert_regex "$stderr" \
    'counts on this server, but the copy off the site did not end: storing .*roles.json.age off the site failed: the server off the site does not answer'
  proxy_end
  name=$(basename "$(newest)")
  run -0 offsite_sets
  refute_output --partial "$name"

  proxy PUT 'database.dump.age' lose
  run --separate-stderr -1 backup
  assert_regex "$stderr" 'database.dump.age off the site failed: .* 404'
  proxy_end

  proxy PUT 'manifest.json' hold
  exec_script backup >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  BACKUP=$!
  await_line "$BATS_TEST_TMPDIR/proxy" '^reached'
  kill -9 "$BACKUP"
  await_exit "$BACKUP" 137
  proxy_end
  name=$(basename "$(newest)")
  run -0 offsite_sets
  refute_output --partial "$name"
  run -0 keys
  assert_output --partial "$STACK/sets/$name/roles.json.age"

  run --separate-stderr -0 backup
  assert_equal "$(offsite_sets)" "$(sets_here)"
  for folder in "$SETS"/*/; do
    assert_equal "$(in_offsite cat "o/away/$STACK/sets/$(basename "$folder")/manifest.json")" \
      "$(cat "$folder/manifest.json")"
  done
}

@test "a large file goes in parts; an upload in parts that was killed is ended by the next run" {
  local file=$BATS_TEST_TMPDIR/large
  head -c 12000000 /dev/urandom >"$file"
  store() { exec node "$SITE/test/helpers/offsite_store.js" "$file" "$1" 5242880 3>&-; }
  run -0 store large
  assert_equal "$(in_offsite cat "o/away/$STACK/large" | sha256sum)" "$(sha256sum <"$file")"
  assert_regex "$(in_offsite stat --json "o/away/$STACK/large")" '"etag": ?"[0-9a-f]{32}-3"'
  proxy PUT 'partNumber=3' hold
  store unfinished &
  BACKUP=$!
  await_line "$BATS_TEST_TMPDIR/proxy" '^reached'
  kill -9 "$BACKUP"
  await_exit "$BACKUP" 137
  proxy_end
  run -0 in_offsite ls --incomplete --recursive o/away
  assert [ -n "$output" ]
  run -0 backup
  run -0 in_offsite ls --incomplete --recursive o/away
  assert_output ''
}

@test "a set comes back from the bucket, whole, when all is lost here; one that is damaged there does not" {
  local set content
  set=$(newest)
  mv "$SETS" "$BATS_TEST_TMPDIR/lost"
  proxy GET 'database.dump.age' stumble
  run --separate-stderr -0 backup --fetch
  assert_equal "$output" "$set"
  assert_regex "$stderr" 'fetching .*database.dump.age.* failed: .*; once more'
  proxy_end
  diff -r "$BATS_TEST_TMPDIR/lost/$(basename "$set")" "$set"
  run -0 find "$SETS" -perm /077
  assert_output ''
  run --separate-stderr -64 backup --fetch "$(basename "$set")"
  run --separate-stderr -0 restore --key "$KEY" --files "$(basename "$set")"
  rm -r "${SETS:?}"
  content=$(head -n 1 "$BATS_TEST_TMPDIR/lost/$(basename "$set")/objects.sha256" | cut -d ' ' -f 1)
  content=o/away/$STACK/objects/${content:0:2}/$content
  in_offsite cp "$content" o/away/kept
  in_offsite pipe "$content" <<<damaged
  run --separate-stderr -65 backup --fetch
  assert_regex "$stderr" 'is not what it was when it was copied'
  run -0 ls -A "$SETS"
  assert_output ''
  in_offsite rm "$content"
  run --separate-stderr -65 backup --fetch
  assert_regex "$stderr" 'off the site is missing'
  run -0 ls -A "$SETS"
  assert_output ''
  in_offsite mv o/away/kept "$content"

  # What another set here has is taken when it is the same, not when it is only as large.
  cp -a "$BATS_TEST_TMPDIR/lost/$(basename "$set")" "$SETS/$STACK-20260101T000000Z"
  content=$SETS/$STACK-20260101T000000Z/objects/${content#"o/away/$STACK/objects/"}
  printf X | dd of="$content" bs=1 seek=5 conv=notrunc status=none
  run --separate-stderr -0 backup --fetch
  diff -r "$BATS_TEST_TMPDIR/lost/$(basename "$set")" "$set"
  assert_equal "$(comm -12 <(inodes "$set") <(inodes "$SETS/$STACK-20260101T000000Z") | wc -l)" \
    "$(($(inodes "$set" | wc -l) - 1))"
  rm -r "${SETS:?}"
  mv "$BATS_TEST_TMPDIR/lost" "$SETS"
}

@test "a manifest off the site that names files elsewhere brings none of them" {
  local set name=$STACK-20300101T000000Z victim=$BATS_TEST_TMPDIR/victim
  set=$(newest)
  node -e '
    const [file, name, victim] = process.argv.slice(1)
    const manifest = JSON.parse(require("fs").readFileSync(file))
    const digest = { bytes: 6, sha256: require("crypto").createHash("sha256").update("forged").digest("hex") }
    console.log(JSON.stringify({ ...manifest, name, made: "2030-01-01T00:00:00Z", files: { ["../".repeat(20) + victim]: digest }, objects: null }))
  ' "$set/manifest.json" "$name" "$victim" | in_offsite pipe "o/away/$STACK/sets/$name/manifest.json"
  # No server would keep such a key; one that is hostile answers it all the same.
  proxy GET 'victim' forge
  run --separate-stderr -64 backup --fetch "$name"
  assert_regex "$stderr" "there is no set $name off the site"
  assert [ ! -e "$victim" ]
  proxy_end
  in_offsite rm "o/away/$STACK/sets/$name/manifest.json"
}

# bats test_tags=long
@test "off the site the same rules hold after a good copy: sets, half copies and unused contents go, and what others put there stays" {
  local old begun
  rm -rf "${SETS:?}"/*
  # 40 days ago, with a content that no later set has.
  put old.txt 'long ago'
  sed -i 's/^BACKUP_DAYS=.*/BACKUP_DAYS=3650/' "$SITE/.env"
  run -0 --separate-stderr backup
  old=$STACK-$(date -u -d '40 days ago' +%Y%m%dT%H%M%SZ)
  mv "$output" "$SETS/$old"
  sed -i -e "s/\"name\": \"$STACK-.*Z\"/\"name\": \"$old\"/" \
    -e "s/\"made\": .*/\"made\": \"$(date -u -d '40 days ago' +%Y-%m-%dT%H:%M:%SZ)\",/" "$SETS/$old/manifest.json"
  in_minio rm m/avril/old.txt
  begun=$STACK-20260101T000000Z
  in_offsite pipe "o/away/$STACK/sets/$begun/database.dump.age" <<<'of a copy that was killed'
  in_offsite pipe o/away/other/sets/mine <<<mine
  in_offsite pipe "o/away/$STACK/objects/mine" <<<mine
  run -0 backup
  assert_regex "$(offsite_sets)" "$old"
  sed -i 's/^BACKUP_DAYS=.*/BACKUP_DAYS=7/' "$SITE/.env"
  proxy PUT 'manifest.json' cut
  run -69 backup
  proxy_end
  assert_regex "$(offsite_sets)" "$old"
  run -0 backup
  assert_output --partial "removed $old off the site"
  run -0 keys
  refute_output --partial "$old"
  refute_output --partial "$begun"
  assert_line other/sets/mine
  assert_line "$STACK/objects/mine"
  # The contents that are left are those of the sets that are left.
  assert_equal "$(keys | sed -n "s|^$STACK/objects/../||p" | sort)" \
    "$(for set in $(offsite_sets); do in_offsite cat "o/away/$STACK/sets/$set/objects.sha256"; done | cut -d ' ' -f 1 |
    sort -u)"
}

# bats test_tags=long
@test "off the site nothing is removed while a manifest there cannot be read to its end, or be understood" {
  local set begun=$STACK-20260101T000000Z manifest contents
  put only.txt 'in one set only'
  run --separate-stderr -0 backup
  set=$(basename "$output")
  manifest=o/away/$STACK/sets/$set/manifest.json
  contents=$(cut -d ' ' -f 1 "$output/objects.sha256" | sort)
  # This server has lost it, and there is something to remove.
  mv "$output" "$BATS_TEST_TMPDIR/lost"
  in_minio rm m/avril/only.txt
  in_offsite pipe "o/away/$STACK/sets/$begun/database.dump.age" <<<'of a copy that was killed'

  proxy GET "$set/manifest.json" halve
  run --separate-stderr -69 backup
  assert_regex "$stderr" "reading .*$set/manifest.json off the site failed: the server off the site does not answer"
  proxy_end
  assert_equal "$(comm -23 <(echo "$contents") <(keys | sed -n "s|^$STACK/objects/../||p" | sort))" ''

  sed 's/"version": 1/"version": 2/' "$BATS_TEST_TMPDIR/lost/manifest.json" | in_offsite pipe "$manifest"
  run --separate-stderr -0 backup
  assert_regex "$stderr" "nothing is removed while the manifest of $set there cannot be understood"
  assert_equal "$(comm -23 <(echo "$contents") <(keys | sed -n "s|^$STACK/objects/../||p" | sort))" ''
  run -0 keys
  assert_output --partial "$begun"
  run -0 backup --list --offsite
  assert_line --partial "$set  its manifest cannot be understood"

  in_offsite pipe "$manifest" <"$BATS_TEST_TMPDIR/lost/manifest.json"
  run --separate-stderr -0 backup
  assert_regex "$stderr" "removed $begun off the site"
  assert_equal "$(comm -23 <(echo "$contents") <(keys | sed -n "s|^$STACK/objects/../||p" | sort))" ''
}
