#!/usr/bin/env bats
# The uploaded files: saved into sets and brought back, on the real minio of a stack.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

SECRET=objects-secret-4f1d

setup_file() {
  site_make avril-test-objects 18412
  set_env AWS_SECRET_ACCESS_KEY=$SECRET
  compose up --detach --wait --quiet-pull minio 2>&1
}
teardown_file() { compose down --volumes --timeout 2 2>&1; }

setup() {
  cp "$SITE/.env" "$BATS_TEST_TMPDIR/env"
  SETS=$BATS_TEST_TMPDIR
}

teardown() {
  cp "$BATS_TEST_TMPDIR/env" "$SITE/.env"
  compose up --detach --wait minio 2>&1
  objects empty
}

objects() { node "$SITE/test/helpers/objects.js" "$@" 3>&-; }

# put_text KEY CONTENT
put_text() {
  node -p 'JSON.stringify({ key: process.argv[1], content: process.argv[2], type: "text/plain" })' -- "$1" "$2" |
    objects put
}

# big COUNT: so many files of 20 MB
big() { seq "$1" | sed 's|.*|{ "key": "big &", "bytes": 20000000, "type": "application/pdf" }|' | objects put; }

content_of() { printf %s "$1" | sha256sum | sed -E 's|((..)\S*).*|objects/\2/\1|'; }

# Nothing half done: no partial file, and each content is what its name says.
assert_contents_whole() {
  run -0 find "$1/objects" -name '*.partial'
  assert_output ''
  local file
  while IFS= read -r file; do assert_equal "$(sha256sum <"$file")" "${file##*/}  -"; done < <(find "$1/objects" -type f)
}

@test "keys of all kinds go out and come back byte for byte, with their type and headers; what is not in the set stays" {
  node "$HERE/helpers/odd_keys.mjs" | objects put
  big 1
  objects list >"$SETS/before"
  run -0 --separate-stderr objects save "$SETS/one"
  assert_equal "$output" "$(node -p 'const it = require("fs").readFileSync(0, "utf8").trim().split("\n").map(JSON.parse)
    JSON.stringify({ count: it.length, bytes: it.reduce((sum, { bytes }) => sum + bytes, 0), fetched: it.length, linked: 0 })' <"$SETS/before")"
  run -0 find "$SETS/one" -type d ! -perm 0700 -o -type f ! -perm 0600
  assert_output ''
  run -0 objects check-full "$SETS/one"
  run -0 --separate-stderr objects save "$SETS/two" "$SETS/one"
  assert_regex "$output" '"fetched":0,'

  objects empty
  put_text 'not in the set' stays
  put_text 'plain.txt' 'changed'
  run -0 --separate-stderr objects restore "$SETS/one"
  local count
  count=$(wc -l <"$SETS/before")
  assert_output "{\"count\":$count,\"uploaded\":$count,\"present\":0,\"extra\":1}"
  run -0 objects list
  assert_equal "$(grep -v '"not in the set"' <<<"$output")" "$(cat "$SETS/before")"
  assert_line --partial '"not in the set"'
  run -0 --separate-stderr objects restore "$SETS/one"
  assert_output "{\"count\":$count,\"uploaded\":0,\"present\":$count,\"extra\":1}"
}

@test "the next set links what has not changed and fetches the rest; a file deleted in minio stays in the older set" {
  local name
  for name in kept changed deleted; do put_text "$name" "$name"; done
  objects save "$SETS/one"
  put_text changed otherwise
  put_text copy kept
  objects delete deleted
  (cd "$SETS/one" && find . -type f -exec sha256sum {} + | sort) >"$SETS/sums"
  run -0 --separate-stderr objects save "$SETS/two" "$SETS/one"
  assert_output '{"count":3,"bytes":17,"fetched":2,"linked":1}'
  assert [ "$SETS/one/$(content_of kept)" -ef "$SETS/two/$(content_of kept)" ]
  assert [ ! -e "$SETS/two/$(content_of deleted)" ]
  run -0 objects check-full "$SETS/two"
  run -0 objects check-full "$SETS/one"
  assert_equal "$(cd "$SETS/one" && find . -type f -exec sha256sum {} + | sort)" "$(cat "$SETS/sums")"
  assert_equal "$(cat "$SETS/one/$(content_of deleted)")" deleted
}

@test "a content that comes again under another date is stored once; a former set that lacks one, or has no index, is not trusted" {
  put_text a same
  put_text b other
  objects save "$SETS/one"
  objects delete a
  put_text z same
  rm "$SETS/one/$(content_of other)"
  run -0 --separate-stderr objects save "$SETS/two" "$SETS/one"
  assert_output '{"count":2,"bytes":9,"fetched":2,"linked":0}'
  assert [ "$SETS/one/$(content_of same)" -ef "$SETS/two/$(content_of same)" ]
  run -0 objects check-full "$SETS/two"
  sed -i '1i {"key' "$SETS/two/objects.jsonl"
  run -0 --separate-stderr objects save "$SETS/three" "$SETS/two"
  assert_regex "$stderr" 'objects.jsonl line 1: .*; the files are fetched anew'
  run -0 objects check-full "$SETS/three"
}

@test "an object that came in parts has another etag than one part gives; after a restore it still counts as the same" {
  docker exec --env "MC_HOST_local=http://avril:$SECRET@127.0.0.1:9000" "$STACK-minio-1" \
    sh -c 'head -c 40000000 /dev/urandom >/tmp/file && mc --quiet cp /tmp/file local/avril/parts && rm /tmp/file'
  objects save "$SETS/one"
  assert_regex "$(cat "$SETS/one/objects.jsonl")" '"etag":"..[0-9a-f]{32}-[0-9]+'
  objects delete parts
  run -0 --separate-stderr objects restore "$SETS/one"
  assert_output '{"count":1,"uploaded":1,"present":0,"extra":0}'
  run -0 --separate-stderr objects restore "$SETS/one"
  assert_output '{"count":1,"uploaded":0,"present":1,"extra":0}'
  run -0 --separate-stderr objects save "$SETS/two" "$SETS/one"
  assert_output '{"count":1,"bytes":40000000,"fetched":1,"linked":0}'
  assert_equal "$(stat --format %h "$SETS/two"/objects/*/*)" 2
}

@test "an empty bucket makes an empty set" {
  run -0 --separate-stderr objects save "$SETS/one"
  assert_output '{"count":0,"bytes":0,"fetched":0,"linked":0}'
  run -0 --separate-stderr objects restore "$SETS/one"
  assert_output '{"count":0,"uploaded":0,"present":0,"extra":0}'
}

# bats test_tags=long
@test "more than a thousand files are all saved, and all linked the next time" {
  seq 1010 | sed 's|.*|{ "key": "many/&", "content": "&", "type": "text/plain" }|' | objects put
  run -0 --separate-stderr objects save "$SETS/one"
  assert_regex "$output" '"count":1010,.*"fetched":1010,"linked":0'
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).key' "$(tail -n 1 "$SETS/one/objects.jsonl")")" many/999
  run -0 --separate-stderr objects save "$SETS/two" "$SETS/one"
  assert_regex "$output" '"count":1010,.*"fetched":0,"linked":1010'
  run -0 --separate-stderr objects restore "$SETS/two"
  assert_output '{"count":1010,"uploaded":0,"present":1010,"extra":0}'
  # quicker than to delete them
  compose down --volumes --timeout 2
}

@test "a damaged content is found: missing, cut short, and changed by one byte; and it is not restored" {
  local name file
  for name in one two three; do put_text "$name" "content of $name"; done
  objects save "$SETS/set"
  file="$SETS/set/$(content_of 'content of two')"
  printf X | dd of="$file" bs=1 seek=3 conv=notrunc status=none
  run -0 objects check "$SETS/set"
  run -65 --separate-stderr objects check-full "$SETS/set"
  assert_regex "$stderr" '1 of 3 is damaged; "two": .* has another content'
  objects delete one two
  run -65 --separate-stderr objects restore "$SETS/set"
  assert_regex "$stderr" '1 of 2 is damaged; "two"'
  run -0 objects list
  refute_output --partial '"one"'
  truncate --size 5 "$file"
  run -65 --separate-stderr objects check "$SETS/set"
  assert_regex "$stderr" '"two": .* has 5 bytes instead of 14'
  rm "$file"
  run -65 --separate-stderr objects check "$SETS/set"
  assert_regex "$stderr" '"two": .* is missing'
  sed -i 's/"sha256":"..../"sha256":"..\/x/' "$SETS/set/objects.jsonl"
  run -65 --separate-stderr objects check "$SETS/set"
  assert_regex "$stderr" 'objects.jsonl line 1: sha256 is not 64 hexadecimal digits'
}

@test "a file that is deleted between listing and fetching is left out with a note; one that is changed is taken as it came" {
  local name
  for name in 1 2 3 4 5 6 7; do put_text "$name" "file $name"; done
  local inside="docker exec $STACK-minio-1 env MC_HOST_local=http://avril:$SECRET@127.0.0.1:9000 mc"
  DURING="$inside --quiet rm local/avril/6; echo changed since | ${inside/exec/exec -i} --quiet pipe local/avril/7" run -0 --separate-stderr objects save "$SETS/one"
  assert_output '{"count":6,"bytes":44,"fetched":6,"linked":0}'
  assert_regex "$stderr" 'deleted meanwhile, so it is not in the set: "6"'
  assert_equal "$(cat "$SETS/one/$(content_of 'changed since
')")" 'changed since'
  run -0 objects check-full "$SETS/one"
}

@test "a wrong key and a wrong bucket are told apart, and end with 78" {
  set_env AWS_SECRET_ACCESS_KEY=another-secret
  run -78 --separate-stderr objects save "$SETS/one"
  assert_output ''
  assert_regex "$stderr" 'minio refuses the key'
  refute_regex "$stderr" another-secret
  set_env AWS_SECRET_ACCESS_KEY=$SECRET BUCKET_NAME=nowhere
  run -78 --separate-stderr objects save "$SETS/two"
  assert_regex "$stderr" 'minio has no bucket nowhere'
}

@test "minio is stopped: 69, and what to do" {
  compose stop --timeout 2 minio
  run -69 --separate-stderr objects save "$SETS/one"
  assert_output ''
  assert_regex "$stderr" 'minio is not running'
  assert_regex "$stderr" 'hint: .*docker compose up -d minio'
}

# bats test_tags=long
@test "minio dies in the middle of a fetch, or of an upload: 69, and no half file counts" {
  big 8
  DURING="docker kill $STACK-minio-1" run -69 --separate-stderr objects save "$SETS/one"
  assert_regex "$stderr" 'minio does not answer'
  assert_contents_whole "$SETS/one"
  compose up --detach --wait minio
  run -0 --separate-stderr objects save "$SETS/two"
  assert_output '{"count":8,"bytes":160000000,"fetched":8,"linked":0}'
  objects empty
  DURING="docker kill $STACK-minio-1" run -69 --separate-stderr objects restore "$SETS/two"
  assert_regex "$stderr" 'minio does not answer'
  compose up --detach --wait minio
  refute_regex "$stderr" 'non-retryable'
  run -0 objects restore "$SETS/two"
  run -0 objects list
  assert_equal "$(grep -c '"bytes":20000000' <<<"$output")" 8
}

@test "SIGTERM ends it with 143, and no half file is left" {
  big 8
  # shellcheck disable=SC2016 # for the shell that is started then
  DURING='kill -TERM $PPID' run -143 --separate-stderr objects save "$SETS/one"
  assert_regex "$stderr" 'stopped by SIGTERM'
  assert_contents_whole "$SETS/one"
}

@test "no secret is in an argument list, nor in a set" {
  put_text a content
  DURING="ps -eo args >'$SETS/ps'" run -0 objects save "$SETS/one"
  assert_regex "$(cat "$SETS/ps")" 'helpers/objects.js'
  run -1 grep -rl "$SECRET" "$SETS/ps" "$SETS/one"
}

@test "what is signed for any region is taken: phoenix calls its own \"local\"" {
  REGION=local put_text signed locally
  REGION=local run -0 objects list
  assert_output --partial '"key":"signed"'
  run -0 compose config --format json phoenix
  assert_equal "$(node -p \
    'const { MINIO_ACCESS_KEY, MINIO_SECRET_KEY } = JSON.parse(require("fs").readFileSync(0)).services.phoenix.environment; [MINIO_ACCESS_KEY, MINIO_SECRET_KEY].join()' <<<"$output")" "avril,$SECRET"
}
