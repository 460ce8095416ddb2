#!/usr/bin/env bats
# Applications on the real frameworks, Nuxt 2 and Nuxt 4, as a visitor sees them in a real browser. The quick apps of
# all other tests stand for these.

load helpers/site

setup_file() {
  base_image
  SECRET=$(openssl rand -hex 32)
  export SECRET
  # These apps render a page in tens of milliseconds: on a machine that is busy with other things requests queue in them
  # for seconds, and a drain waits as long.
  REAL_RECIPES=yes site_up avril-test-frameworks 18262 DRAIN_SECONDS=120 "NUXT_BASE_IMAGE=$BASE_IMAGE" \
    CLIENT_TO_PHOENIX_URL=http://127.0.0.1:18262 "SECRET_KEY_BASE=$SECRET"
  commit avril GREETING='Bonjour de phoenix' >/dev/null
  deploy --probation 0 avril
  "$HERE/fixtures/replace.sh" "$PLAY" avril-profil frameworks/nuxt2
  deploy --probation 0 avril-profil
  "$HERE/fixtures/replace.sh" "$PLAY" avril-livret1 frameworks/nuxt4
  deploy --probation 0 avril-livret1
}
teardown_file() { site_down; }

teardown() {
  load_abandon
  if [ -n "${WATCH_PID:-}" ]; then kill "$WATCH_PID" 2>/dev/null || true; fi
}

# base_image: the image that the apps are built on, made of the one of .env.example. Sets BASE_IMAGE.
base_image() {
  local context=$BATS_FILE_TMPDIR/base
  export BASE_IMAGE=avril-test-frameworks-base
  cp -R "$HERE/fixtures/frameworks/base" "$context"
  cp /etc/ssl/certs/ca-certificates.crt "$context/authorities.crt"
  docker buildx build --quiet --tag "$BASE_IMAGE" \
    --build-arg "BASE=$(sed -n 's/^NUXT_BASE_IMAGE=//p' "$CHECKOUT/.env.example")" "$context"
}

browser() { node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$HERE/helpers/browser.ts" "$@" 3>&-; }

# look PATH [options]: what a visitor sees there, for `seen`
look() { browser look "$URL$1" "${@:2}" >"$BATS_TEST_TMPDIR/seen"; }

# seen EXPRESSION: a part of it
seen() { node -p "const it = JSON.parse(require('fs').readFileSync('$BATS_TEST_TMPDIR/seen')); $1"; }

# assert_nothing_wrong [EXPRESSION]: in a page that was seen, it or a part of it
assert_nothing_wrong() {
  assert_equal "$(seen "[${1:-it}].flatMap(({ failed, errors, split }) => [...failed, ...errors, ...split]).join('\n')")" ''
}

# assert_two_pages BASE TITLE RELEASE LINK TITLE2 PATH2: the first page by the server and by the scripts, then the
# second one by a click
assert_two_pages() {
  look "$1/" --link "$4"
  assert_nothing_wrong
  assert_equal "$(seen 'it.status')" 200
  assert_equal "$(seen 'it.server')" "$(seen 'it.text')"
  run -0 seen 'it.server'
  assert_line "$2"
  assert_line "$3"
  assert_line 'Bonjour de phoenix'
  assert_equal "$(seen 'it.path')" "$1/"
  assert_equal "$(seen 'it.after.path')" "$1/$6"
  assert_equal "$(seen 'it.after.reloads')" 0
  run -0 seen 'it.after.text'
  assert_line "$5"
  assert_line 'Bonjour de phoenix'
  assert_line "$(sed -n 's/^CLIENT_TO_PHOENIX_URL=//p' "$SITE/.env")"
}

@test "Nuxt 2: rendered by the server, taken over by the scripts, and the second page by a click" {
  assert_two_pages /mon-espace 'Mon espace' "$(release avril-profil)" 'Mon parcours' 'Mon parcours' parcours
}

@test "Nuxt 4: the same" {
  assert_two_pages /ma-candidature-vae 'Ma candidature' "$(release avril-livret1)" 'Les étapes' 'Les étapes' etapes
}

@test "the pages for errors are shown, in French: nothing there, and an app that is down" {
  look /files/nothing-there
  assert_equal "$(seen 'it.status')" 404
  assert_regex "$(seen 'it.text')" "^Cette page n’existe pas"
  compose stop nuxt_booklet
  look /ma-candidature-vae/
  assert_equal "$(seen 'it.status')" 502
  assert_regex "$(seen 'it.text')" '^Le service est momentanément indisponible'
  compose up --detach --wait nuxt_booklet
  look /ma-candidature-vae/
  assert_nothing_wrong
}

# watch_start PATH LINK: a browser that loads the page and follows the link until watch_stop
watch_start() {
  mkfifo "$BATS_TEST_TMPDIR/watch.in"
  : >"$BATS_TEST_TMPDIR/watch.err"
  browser watch "$URL$1" \
    --link "$2" <"$BATS_TEST_TMPDIR/watch.in" >"$BATS_TEST_TMPDIR/seen" 2>"$BATS_TEST_TMPDIR/watch.err" &
  WATCH_PID=$!
  exec {WATCH_FD}>"$BATS_TEST_TMPDIR/watch.in"
  await_line "$BATS_TEST_TMPDIR/watch.err" .
}

watch_stop() {
  local pid=$WATCH_PID
  WATCH_PID=
  exec {WATCH_FD}>&-
  wait "$pid" || { cat "$BATS_TEST_TMPDIR/watch.err"; return 1; }
}

# files_for_browsers REPO: copies what the live release has for browsers
files_for_browsers() {
  local service=nuxt_profile folder=.nuxt/dist/client
  if [ "$1" = avril-livret1 ]; then service=nuxt_booklet folder=.output/public/_nuxt; fi
  docker cp "$(docker ps --quiet --filter "label=com.docker.compose.project=$STACK" \
    --filter "label=com.docker.compose.service=$service"):/app/$folder" "$BATS_TEST_TMPDIR/files" >/dev/null
}

# assert_files_there BASE FOLDER: whoever asks for any file of a release gets it, also when nobody has asked for it
# before
assert_files_there() {
  local file count=0
  while IFS= read -r file; do
    case $file in *.json | */LICENSES | *.html | *.txt) continue ;; esac
    run -0 cmp "$file" <(curl -fsS "$URL$1/_nuxt/${file#"$2"/}")
    count=$((count + 1))
  done < <(find "$2" -type f)
  assert [ "$count" -gt 3 ]
}

# assert_rollout_unseen REPO BASE LINK: a new release under load, with a visitor who goes on looking, and one who comes
# back to a page that was open before
assert_rollout_unseen() {
  local before
  before=$(release "$1")
  commit "$1" GREETING='La suite' >/dev/null
  load_start --rate 10 --base "$2" --path / --post 0 --slow 0 --websocket 0
  watch_start "$2/" "$3"
  files_for_browsers "$1"
  run -0 deploy --probation 0 "$1"
  watch_stop
  assert_no_request_lost
  cat "$BATS_TEST_TMPDIR/seen"
  assert_nothing_wrong it.kept
  assert_nothing_wrong it.page
  assert_equal "$(seen it.splits)" 0
  assert_files_there "$2" "$BATS_TEST_TMPDIR/files"
  assert_equal "$(seen 'it.releases.join()')" "$before,La suite"
  assert_equal "$(seen 'it.kept.reloads')" 0
  # Both instances answered the load, and nobody else.
  assert_equal "$(node -p "JSON.parse(require('fs').readFileSync('$LOAD.json')).instances.length")" 2
}

# release REPO: what the page says of its release
release() { git -C "$PLAY/origin/$1.git" show main:fixture.env | sed -n 's/^GREETING=//p' | tail -n 1; }

# bats test_tags=long
@test "Nuxt 2: a new release under load, unnoticed by visitors" {
  assert_rollout_unseen avril-profil /mon-espace 'Mon parcours'
}

@test "Nuxt 4: the same, unnoticed too" {
  assert_rollout_unseen avril-livret1 /ma-candidature-vae 'Les étapes'
}

# served BASE: all that a browser is given for the first page
served() {
  local page file
  page=$(curl -fsS "$URL$1/")
  printf '%s\n' "$page"
  while IFS= read -r file; do curl -fsS "$URL$file"; done < <(grep -oE "$1/_nuxt/[[:alnum:]_./-]+" <<<"$page" | sort -u)
}

# found_in: which of the secret and a setting that is baked stands in what is read
found_in() { grep -aoF -e "$SECRET" -e http://127.0.0.1:18262 | sort -u; }

# files_of IMAGE: all that its files say of the two
files_of() {
  docker run --rm --user 0 --network none --entrypoint grep "$1" -rshaoF --exclude-dir=proc --exclude-dir=sys \
    -e "$SECRET" -e http://127.0.0.1:18262 /
}

@test "the secret that signs the cookies is in no file that is served, and nowhere in the images" {
  local service image
  declare -A base=([nuxt_profile]=/mon-espace [nuxt_booklet]=/ma-candidature-vae)
  for service in "${!base[@]}"; do
    image=$(docker inspect --format '{{.Image}}' "$(instances "$service" | cut -d' ' -f1)")
    # What stands beside it is found: so would be the secret.
    assert_equal "$(served "${base[$service]}" | found_in)" http://127.0.0.1:18262
    assert_equal "$(files_of "$image" | sort -u)" http://127.0.0.1:18262
    assert_equal "$({ docker history --no-trunc "$image"; docker image inspect "$image"; } |
      grep -oF -e "$SECRET" -e NODE_ENV=production | sort -u)" NODE_ENV=production
  done
}

# bats test_tags=long
@test "a setting that is baked, changed in .env: the next deploy of the same commit shows it" {
  local repo
  URL=http://localhost:18262
  set_env CLIENT_TO_PHOENIX_URL=$URL
  for repo in avril-profil avril-livret1; do deploy --probation 0 "$repo"; done
  assert_two_pages /mon-espace 'Mon espace' "$(release avril-profil)" 'Mon parcours' 'Mon parcours' parcours
  assert_two_pages /ma-candidature-vae 'Ma candidature' "$(release avril-livret1)" 'Les étapes' 'Les étapes' etapes
}
