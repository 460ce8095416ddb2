#!/usr/bin/env bats
# Copies off the site that somebody with this server and its key cannot destroy, on a real S3 server that has object
# lock (Ceph).

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site
load helpers/held

setup_file() {
  "$HERE/images.sh" ceph
  export SETS="$BATS_FILE_TMPDIR/the sets" KEY=$BATS_FILE_TMPDIR/key.txt
  export S3_ENDPOINT=http://127.0.0.1:18442 S3_KEY=offsite S3_SECRET=offsite-secret
  docker rm --force --volumes avril-test-locked-away >/dev/null 2>&1 || true
  docker run --detach --name avril-test-locked-away --publish 127.0.0.1:18442:9000 --env S3_KEY --env S3_SECRET \
    avril-ceph:forky >/dev/null
  site_make avril-test-locked 18441
  age-keygen --output "$KEY" 2>/dev/null
  set_env "BACKUP_DIR='$SETS'"
  printf '%s\n' "BACKUP_RECIPIENTS=$(age-keygen -y "$KEY")" "OFFSITE_ENDPOINT=$S3_ENDPOINT" OFFSITE_BUCKET=none \
    "OFFSITE_ACCESS_KEY_ID=$S3_KEY" "OFFSITE_SECRET_ACCESS_KEY=$S3_SECRET" >>"$SITE/.env"
  compose up --detach --wait --quiet-pull postgres minio 2>&1
  psql <<<"create table visitors as select n as id, 'visitor ' || n as name from generate_series(1, 5000) n"
  # shellcheck disable=SC2016 # for the shell in the container
  docker exec -i "$STACK-minio-1" sh \
    -c 'MC_HOST_m="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000" exec mc --quiet pipe m/avril/photo.txt' <<<'a photo' 3>&-
  timeout 120 sh -c "until docker exec avril-test-locked-away test -e /ready; do sleep 0.5; done"
}

teardown_file() {
  docker rm --force --volumes avril-test-locked-away >/dev/null
  compose down --volumes --remove-orphans --timeout 2 2>&1
}

away() { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true node "$SITE/test/helpers/away.js" "$@" 3>&-; }
backup() { script backup "$@"; }
# bucket NAME KIND: the copies go into a new bucket from here on
bucket() {
  away make "$1" "$2"
  set_env "OFFSITE_BUCKET=$1"
}
check() { script setup --check | grep 'off the site'; }
now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# make_old_set: a set that was made 40 days ago, and three of now, here and off the site. Sets OLD.
make_old_set() {
  set_env BACKUP_DAYS=3650
  run --separate-stderr -0 backup
  OLD=$STACK-$(date -u -d '40 days ago' +%Y%m%dT%H%M%SZ)
  mv "$output" "$SETS/$OLD"
  sed -i -e "s/\"name\": \"$STACK-.*Z\"/\"name\": \"$OLD\"/" \
    -e "s/\"made\": .*/\"made\": \"$(date -u -d '40 days ago' +%Y-%m-%dT%H:%M:%SZ)\",/" "$SETS/$OLD/manifest.json"
  for _ in 1 2 3; do run -0 backup; done
}

@test "locked: the server's own key removes nothing, --check has tried it, and --as-of brings back a set that was overwritten and removed" {
  local set before
  bucket locked lock
  run -0 check
  assert_output --partial '✓ off the site: '
  assert_output --partial 'was not able to remove one that it had just written'
  run --separate-stderr -0 backup
  set=$output
  run script status
  assert_output --partial 'off the site it is there too, locked: nobody can remove it for BACKUP_DAYS'
  before=$(now)
  # Times of versions have whole seconds.
  timeout 5 sh -c "while [ \"\$(date -u +%Y-%m-%dT%H:%M:%SZ)\" = $before ]; do sleep 0.1; done"
  run -0 away destroy locked
  assert_regex "$output" '^0 of [1-9][0-9]* gone'
  run -0 backup --list --offsite
  refute_output --partial "$(basename "$set")"
  run -0 backup --list --offsite --as-of "$before"
  assert_output --partial "$(basename "$set")"
  mv "$SETS" "$BATS_TEST_TMPDIR/lost"
  run --separate-stderr -64 backup --fetch
  run --separate-stderr -0 backup --fetch --as-of "$before"
  assert_equal "$output" "$set"
  diff -r "$BATS_TEST_TMPDIR/lost/$(basename "$set")" "$set"
}

@test "locked: what the rules do not keep any more stays until its lock has ended, whole, and is tried again" {
  bucket later lock
  make_old_set
  set_env BACKUP_DAYS=1
  run -0 backup
  assert [ ! -e "$SETS/$OLD" ]
  run -0 backup --list --offsite
  assert_output --partial "$OLD"
  rm -rf "${SETS:?}"
  run --separate-stderr -0 backup --fetch "$OLD"
  set_env BACKUP_DAYS=7
}

# kind, what the key may not do, what --check says, what status.ts says
protections() {
  cat <<'END'
versions||! off the site: .*keeps versions, but the key of this server may remove them|the bucket keeps versions of what is removed
versions|forbid|✓ off the site: .*stays there as a version, which this server may not remove|the bucket keeps versions of what is removed
none||! off the site: .*whoever has this server can remove the copies|whoever has this server can remove it there
END
}

@test "without object lock --check and status.ts say what becomes of the copies" {
  local kind rule said told number=0
  while IFS='|' read -r kind rule said told; do
    number=$((number + 1))
    bucket "kind$number" "$kind"
    if [ -n "$rule" ]; then away "$rule" "kind$number"; fi
    run -0 check
    assert_regex "$output" "$said"
    run -0 backup
    run script status
    assert_output --partial "$told"
  done < <(protections)
}

# bats test_tags=long
@test "with versions: what the rules do not keep any more goes for good, and leaves no version behind" {
  bucket versions versions
  make_old_set
  run -0 away list versions "$STACK/sets/$OLD"
  assert_output --partial "version $STACK/sets/$OLD/manifest.json"
  set_env BACKUP_DAYS=7
  run -0 backup
  run -0 away list versions "$STACK/sets/$OLD"
  assert_output ''
}
