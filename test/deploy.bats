#!/usr/bin/env bats
# deploy_local on a real stack: what it does, what it says, what it refuses.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() { site_up avril-test-deploy 18210; }
teardown_file() { site_down; }

# The live release of avril-profil is this one's commit, whatever happened before.
deploy_greeting() {
  commit avril-profil GREETING="$1" >/dev/null
  deploy --probation 0 avril-profil
}

@test "plain docker compose up -d brings all six up healthy" {
  run -0 compose ps --format '{{.Service}} {{.Health}}'
  assert_equal "$(sort <<<"$output" | paste -sd,)" \
    'minio healthy,nginx healthy,nuxt_booklet healthy,nuxt_profile healthy,phoenix healthy,postgres healthy'
}

@test "anonymous listing and writing are refused by minio itself" {
  local ask=(docker exec "$STACK-nginx-1" curl -s -o /dev/null -w '%{http_code}')
  assert_equal "$("${ask[@]}" http://minio:9000/avril/)" 403
  assert_equal "$("${ask[@]}" 'http://minio:9000/avril/?list-type=2')" 403
  assert_equal "$("${ask[@]}" -X PUT -d x http://minio:9000/avril/x)" 403
}

@test "each of the three apps can be deployed, from its remote's default branch" {
  local repo
  for repo in avril avril-profil avril-livret1; do
    commit "$repo" GREETING="deployed-$repo" >/dev/null
    run --separate-stderr -0 deploy --probation 0 "$repo"
    assert_output ''
    assert_equal "$(greeting "$repo")" "deployed-$repo"
  done
  assert_in_order phoenix
  assert_in_order nuxt_profile
  assert_in_order nuxt_booklet
}

@test "a changed setting of its build makes another release, and --dry-run says so; one of its surroundings does not" {
  deploy_greeting baked
  local before
  before=$(last_deploy to)
  cp "$SITE/.env" "$BATS_TEST_TMPDIR/env"
  echo "BACKUP_NOTE='nothing of the build'" >>"$SITE/.env"
  run --separate-stderr -0 deploy --if-change --probation 0 avril-profil
  assert_regex "$stderr" 'nothing to do'
  echo "TAG_COMMANDER='/a b\$c'" >>"$SITE/.env"
  run -0 deploy --dry-run avril-profil
  assert_output --partial 'this is another release'
  assert_output --partial 'with NUXT_PROFILE_PATH'
  run --separate-stderr -0 deploy --if-change --probation 0 avril-profil
  assert_regex "$stderr" 'this is another release'
  assert_equal "$(last_deploy 'to.slice(0, -6)')" "${before%??????}"
  assert_not_equal "$(last_deploy to)" "$before"
  cp "$BATS_TEST_TMPDIR/env" "$SITE/.env"
  run -0 deploy --if-change --probation 0 avril-profil
  assert_equal "$(last_deploy to)" "$before"
}

@test "a secret is never given to a build: 78, and nothing is touched" {
  # shellcheck disable=SC2016 # for Compose
  sed -i 's|^          HOTJAR_ID=.*|&\n          SECRET_KEY_BASE=${SECRET_KEY_BASE}|' "$SITE/docker-compose.yml"
  run --separate-stderr -78 deploy avril-profil
  assert_regex "$stderr" 'hands the secret SECRET_KEY_BASE to its build'
  sed -i '/^          SECRET_KEY_BASE=/d' "$SITE/docker-compose.yml"
}

@test "a base image whose Elixir the app does not allow is refused in plan (78), with both versions and the setting" {
  cp "$SITE/.env" "$BATS_TEST_TMPDIR/env"
  set_env PHOENIX_BASE_IMAGE=elixir:1.8.2
  run --separate-stderr -78 deploy avril
  assert_regex "$stderr" 'mix.exs demands Elixir ~> 1.14, and phoenix is built on elixir:1.8.2, which has 1.8.2'
  assert_regex "$stderr" 'PHOENIX_BASE_IMAGE'
  cp "$BATS_TEST_TMPDIR/env" "$SITE/.env"
  assert_in_order phoenix
}

@test "--json gives one document, with the seconds of each phase" {
  commit avril-profil GREETING=json >/dev/null
  run --separate-stderr -0 deploy --json --probation 0 avril-profil
  run -0 node -p 'const it = JSON.parse(process.argv[1]); [it.result, it.revision.length, Object.keys(it.phases).join()].join(" ")' "$output"
  assert_output 'deployed 40 plan,build,start,healthy,switch,drain,stop,tidy'
}

@test "a branch, a tag and a short commit can be named; only fetched commits count, and local changes are not touched" {
  local first
  first=$(commit avril-profil GREETING=first)
  commit avril-profil GREETING=second >/dev/null
  git -C "$PLAY/origin/avril-profil.git" tag v1 "$first"
  git -C "$PLAY/origin/avril-profil.git" branch old "$first"
  echo 'GREETING=dirty' >"$PLAY/avril-profil/fixture.env"
  touch "$PLAY/avril-profil/untracked"
  run -0 deploy --probation 0 avril-profil
  assert_equal "$(greeting avril-profil)" second
  run -0 deploy --probation 0 avril-profil old
  assert_equal "$(greeting avril-profil)" first
  run -0 deploy --dry-run --to v1 avril-profil
  assert_output --partial "${first:0:12}"
  run -0 deploy --probation 0 --to "${first:0:10}" avril-profil
  assert_output --partial 'the same commit is live and healthy: its instances are replaced by new ones'
  assert_equal "$(cat "$PLAY/avril-profil/fixture.env")" 'GREETING=dirty'
  assert [ -e "$PLAY/avril-profil/untracked" ]
}

# closed_in IMAGE: what its own user cannot read there
closed_in() { docker run --rm --network none --entrypoint find "$1" /app \! -readable; }

@test "whoever calls decides nothing by a umask, a language or a variable: a deploy is as always" {
  commit avril-profil GREETING=strict >/dev/null
  (umask 077 && GIT_DIR=/nowhere COMPOSE_FILE=/nowhere NGINX_PORT=1 COMPOSE_PROJECT_NAME=other LC_ALL=fr_FR.UTF-8 LANGUAGE=fr deploy --probation 0 avril-profil)
  assert_equal "$(greeting avril-profil)" strict
  run -0 closed_in "$(last_deploy to)"
  assert_output ''
  # The workers of nginx read it.
  assert_equal "$(stat -c %a "$SITE/nginx/live/nuxt_profile.json")" 644
}

@test "a commit with what a deploy cannot bring is refused in plan (78), with its path" {
  local work=$BATS_TEST_TMPDIR/work before
  before=$(last_deploy to)
  git clone --quiet "$PLAY/origin/avril-profil.git" "$work"
  git -C "$work" -c protocol.file.allow=always submodule --quiet add "file://$PLAY/origin/avril.git" assets/shared
  git -C "$work" -c user.name=x -c user.email=x@example.org commit --quiet --message submodule
  git -C "$work" push --quiet origin HEAD:submodule
  run --separate-stderr -78 deploy avril-profil submodule
  assert_regex "$stderr" 'would be missing in the release: assets/shared \(a submodule\)'
  assert_equal "$(docker inspect --format '{{.Config.Image}}' \
    "$(docker ps --quiet --filter "label=com.docker.compose.project=$STACK" --filter label=com.docker.compose.service=nuxt_profile)")" "$before"
}

@test "images that are built by hand, of clones made under a strict umask, have neither a token nor files that their user cannot read" {
  local repository
  for repository in avril avril-profil; do
    rm -rf "${PLAY:?}/$repository"
    (umask 077 && git clone --quiet "$PLAY/origin/$repository.git" "$PLAY/$repository")
    git -C "$PLAY/$repository" config http.extraHeader 'Authorization: Basic dDBrZW4='
    sed -i '/^\.git$/d' "$PLAY/$repository/.dockerignore"
  done
  real_recipes
  compose build phoenix nuxt_profile 2>&1
  quick_recipes
  for image in "$STACK-phoenix:compose" "$STACK-nuxt_profile:compose"; do
    run -0 closed_in "$image"
    assert_output ''
    run -1 docker run --rm --network none --user root --entrypoint grep "$image" --recursive \
      --files-with-matches dDBrZW4= /app
  done
}

@test "--rollback goes back twice, without a build" {
  local before
  before=$(greeting avril-profil)
  deploy_greeting one
  deploy_greeting two
  run -0 deploy --probation 0 --rollback avril-profil
  assert_equal "$(greeting avril-profil)" one
  refute_output --partial '#1'
  run -0 deploy --probation 0 --rollback avril-profil
  assert_equal "$(greeting avril-profil)" "$before"
  assert_in_order nuxt_profile
}

@test "--if-change does nothing for the live commit, and deploys a new one" {
  deploy_greeting unchanged
  local before
  before=$(instances nuxt_profile | cut -d' ' -f1)
  run -0 deploy --if-change avril-profil
  assert_output --partial 'nothing to do'
  assert_equal "$(instances nuxt_profile | cut -d' ' -f1)" "$before"
  commit avril-profil GREETING=changed >/dev/null
  run -0 deploy --if-change --probation 0 avril-profil
  assert_equal "$(greeting avril-profil)" changed
}

@test "a changed .env is taken up by a deploy of the same commit, which says so" {
  deploy_greeting settings
  set_env FILES_PATH=/other
  run -0 deploy --if-change avril-profil
  assert_output --partial 'has changed since; a deploy without --if-change takes that up'
  run -0 deploy --probation 0 avril-profil
  assert_output --partial '.env or docker-compose.yml has changed since, and that is taken up'
  run -0 docker exec "$(instances nuxt_profile | cut -d' ' -f1)" printenv FILES_PATH
  assert_output /other
  set_env FILES_PATH=/files
}

# All that a deploy could change: what was fetched, the stack's containers and images, the state and what nginx reads.
everything() {
  git -C "$PLAY/avril-profil" rev-parse origin/main
  docker ps --all --quiet --filter "label=com.docker.compose.project=$STACK" | sort
  docker image ls --format '{{.Repository}}:{{.Tag}} {{.ID}}' "$STACK-*" | sort
  find "$SITE/.state" "$SITE/nginx/live" -type f -exec sha256sum {} + | sort
}

@test "--dry-run prints the plan and changes nothing" {
  commit avril-profil GREETING=dry >/dev/null
  local before
  before=$(everything)
  run --separate-stderr -0 deploy --dry-run avril-profil
  assert_output --partial 'switch   nginx to the new instance, and prove it'
  assert_output --partial 'one instance, beside the live one'
  assert_equal "$(everything)" "$before"
}

@test "releases beyond --keep are removed, never one that runs or that a rollback needs" {
  local greeting
  for greeting in k1 k2; do deploy_greeting $greeting; done
  commit avril-profil GREETING=k3 >/dev/null
  run -0 deploy --probation 0 --keep 1 avril-profil
  run -0 docker image ls --format '{{.Tag}}' "$STACK-nuxt_profile"
  # The live one, the one before, and what Compose built itself.
  assert_equal "$(grep -cE '^[0-9a-f]{12}-[0-9a-f]{6}$' <<<"$output")" 2
  run -0 deploy --probation 0 --rollback avril-profil
  assert_equal "$(greeting avril-profil)" k2
}

@test "docker compose down and up -d bring the site back on the same releases" {
  deploy_greeting same
  local image
  image=$(docker inspect --format '{{.Config.Image}}' "$(instances nuxt_profile | cut -d' ' -f1)")
  run -0 compose down --timeout 2
  run -0 compose up --detach --wait
  assert_equal "$(greeting avril-profil)" same
  assert_equal "$(docker inspect --format '{{.Config.Image}}' "$(instances nuxt_profile | cut -d' ' -f1)")" "$image"
  assert_in_order nuxt_profile
}

@test "several replicas are all replaced, with at most one more than usual at a time" {
  set_env PROFILE_REPLICAS=3
  deploy_greeting three-replicas
  assert_in_order nuxt_profile 3
  commit avril-profil GREETING=all-three >/dev/null
  # What runs of an image that Compose has built has the labels of the service, and is no instance of it.
  local shell most=$BATS_TEST_TMPDIR/most
  shell=$(docker run --detach --entrypoint sleep "$(compose images --quiet nuxt_profile | head -n 1)" infinity)
  docker events --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=nuxt_profile \
    --filter event=start --filter event=die --format '{{.Action}}' >"$most" 3>&- &
  local events=$!
  run -0 deploy --probation 0 avril-profil
  kill "$events"
  run -0 docker rm --force --volumes "$shell"
  run awk '{ n += $1 == "start" ? 1 : -1; if (n > most) most = n } END { print most, NR }' "$most"
  assert_output '1 6'
  local _
  for _ in $(seq 20); do assert_equal "$(greeting avril-profil)" all-three; done
  assert_in_order nuxt_profile 3
  set_env PROFILE_REPLICAS=1
  run -0 deploy --probation 0 avril-profil
  assert_in_order nuxt_profile 1
}

@test "one deploy at a time: the second ends with 75 and says who, since when, in which phase; --wait queues" {
  commit avril-profil GREETING=held BUILD=slow:8 >/dev/null
  exec_script deploy_local --observe 0 --probation 0 avril-profil 2>"$BATS_TEST_TMPDIR/first" &
  local first=$!
  await_line "$BATS_TEST_TMPDIR/first" 'build:'
  run --separate-stderr -75 deploy avril-profil
  assert_output ''
  assert_regex "$stderr" \
    'the lock is held by .*process [0-9]+.*deploying avril-profil since 20.*phase (build|start|healthy)'
  run -0 deploy --probation 0 --if-change --wait avril-profil
  assert_output --partial 'waiting for'
  assert_output --partial 'nothing to do'
  wait "$first"
}

@test "deploy_all deploys what has changed, and goes on after a failure" {
  commit avril BUILD=fail >/dev/null
  commit avril-livret1 GREETING=by-deploy-all >/dev/null
  run --separate-stderr -1 script deploy_all --observe 0 --json
  assert_equal "$(greeting avril-livret1)" by-deploy-all
  assert_equal "$(node -p 'JSON.parse(process.argv[1]).map(it => it.result).sort().join()' "$output")" \
    deployed,failed,unchanged
  commit avril GREETING=mended >/dev/null
  run -0 script deploy_all --observe 0
  assert_output --partial 'all apps are at the head'
}

@test "status tells services, releases and deploys; its exit code tells what is unhealthy" {
  commit avril-livret1 GREETING=told >/dev/null
  run -0 deploy --probation 0 avril-livret1
  run --separate-stderr -0 script status
  assert_output --partial '✓ phoenix'
  assert_output --partial 'stand-in image'
  assert_output --partial 'last deploys'
  run --separate-stderr -0 script status --json
  run -0 node -p 'const it = JSON.parse(process.argv[1]); [it.healthy, it.services.length, it.services.find(s => s.service === "nuxt_booklet").release.subject].join()' "$output"
  assert_output --regexp '^true,6,feat:'
  run -0 compose stop --timeout 1 nuxt_booklet
  run -1 script status
  assert_output --partial '✗ nuxt_booklet'
  assert_output --partial 'is not running'
  run -0 compose up --detach --wait
}

@test "logs shows a service's lines and follows" {
  run -0 script logs --no-follow phoenix
  assert_output --partial 'Running Avril on port 4000'
  run -64 script logs phoenx
  assert_output --partial 'one of:'
  exec_script logs nginx >"$BATS_TEST_TMPDIR/log" 2>&1 &
  local follower=$!
  await_line "$BATS_TEST_TMPDIR/log" 'nginx'
  curl -fsS -o /dev/null "$URL/version?asked-by-the-test" -A asked-by-the-test
  await_line "$BATS_TEST_TMPDIR/log" 'asked-by-the-test'
  kill -INT "$follower"
  await_exit "$follower" 130
  run cat "$BATS_TEST_TMPDIR/log"
  refute_output --partial 'error'
}

@test "nonsense is refused with 64, an empty stdout, and what would be right" {
  local words
  for words in '' 'avirl' 'phoenix' '../avril' 'avril main extra' '--bogus avril' '--keep 0 avril' '--to ;id avril' '--to v1 avril main' '--rollback avril main' 'avril no-such-branch' 'avril -x'; do
    # shellcheck disable=SC2086 # words, as they are typed
    run --separate-stderr -64 deploy $words
    assert_output ''
    assert_regex "$stderr" 'error: .*hint: '
  done
  local service
  for service in nginx postgres minio; do
    run --separate-stderr -64 deploy $service
    assert_regex "$stderr" "$service cannot be rolled: .*(docker compose|nginx)"
  done
}

@test "a broken .env is one error with its line, 78, before anything is touched" {
  local before
  before=$(cat "$SITE/.state/history.jsonl")
  set_env NGINX_PORT=http
  run --separate-stderr -78 deploy avril
  assert_regex "$stderr" '^error: \.env line [0-9]+: NGINX_PORT is not a whole number'
  set_env NGINX_PORT=18210
  mv "$SITE/.env" "$SITE/.env.away"
  run --separate-stderr -78 deploy avril
  assert_regex "$stderr" 'there is no .*\.env.*hint: cp '
  mv "$SITE/.env.away" "$SITE/.env"
  assert_equal "$(cat "$SITE/.state/history.jsonl")" "$before"
}

@test "without an engine, with Compose v1 alone, without nginx: each is said, with 69 or 1" {
  DOCKER_HOST=unix:///nonexistent run --separate-stderr -69 deploy avril
  assert_regex "$stderr" 'the Docker engine does not answer'
  mkdir "$BATS_TEST_TMPDIR/bin"
  # shellcheck disable=SC2016 # for the stub
  printf '#!/bin/sh\n[ "$1" = compose ] && { echo "docker: unknown command: docker compose" >&2; exit 1; }\nexec %s "$@"\n' "$(command -v docker)" >"$BATS_TEST_TMPDIR/bin/docker"
  printf '#!/bin/sh\necho docker-compose version 1.29.2\n' >"$BATS_TEST_TMPDIR/bin/docker-compose"
  chmod +x "$BATS_TEST_TMPDIR/bin/"*
  PATH=$BATS_TEST_TMPDIR/bin:$PATH run --separate-stderr -69 deploy avril
  assert_regex "$stderr" 'only Docker Compose v1 \(docker-compose\) is installed.*hint: v1 has had no fixes since 2023'
  run -0 compose stop nginx
  run --separate-stderr -1 deploy avril
  assert_regex "$stderr" 'nginx is not running.*docker compose up -d'
  run -0 compose up --detach --wait
}

@test "a script works right after git clone: it installs the locked packages first, and says so" {
  local clone="$BATS_TEST_TMPDIR/a clone"
  cp -R "$SITE" "$clone"
  rm "$clone/node_modules"
  cd /
  run --separate-stderr -0 "$CHECKOUT/node_modules/.bin/tsx" "$clone/scripts/status.ts" --json
  assert_regex "$stderr" 'first use: installing the packages that package-lock.json names'
  assert_output --partial '"project":"avril-test-deploy"'
}

@test "what an instance keeps in its memory is carried to the one that takes its place; when it cannot be, that is a warning" {
  local labels='      avril.state.save: cat /tmp/state\n      avril.state.load: tee /tmp/state'
  sed -i "s|^      avril.path: /mon-espace/\$|&\\n$labels|" "$SITE/docker-compose.yml"
  deploy_greeting before-state
  docker exec "$(docker ps --quiet --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=nuxt_profile)" sh -c 'echo remembered >/tmp/state'
  deploy_greeting with-state
  run -0 docker exec "$(docker ps --quiet --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=nuxt_profile)" cat /tmp/state
  assert_output remembered
  docker exec "$(docker ps --quiet --filter "label=com.docker.compose.project=$STACK" \
    --filter label=com.docker.compose.service=nuxt_profile)" rm /tmp/state
  commit avril-profil GREETING=without-state >/dev/null
  run --separate-stderr -0 deploy --probation 0 avril-profil
  assert_regex "$stderr" 'keeps in its memory cannot be saved .*visitors may have to log in again'
  sed -i '/^      avril.state.save: cat/d; /^      avril.state.load: tee/d' "$SITE/docker-compose.yml"
  deploy_greeting without-state
}

# bats test_tags=long
@test "a fourth app needs a service, a location and no code" {
  git clone --quiet --bare "$PLAY/origin/avril-profil.git" "$PLAY/origin/avril-aide.git"
  git clone --quiet "$PLAY/origin/avril-aide.git" "$PLAY/avril-aide"
  sed -i 's|"base": "/mon-espace"|"base": "/aide"|' "$PLAY/avril-aide/package.json"
  # shellcheck source=/dev/null
  (source "$HERE/fixtures/git.bash" && git -C "$PLAY/avril-aide" commit --quiet --all --message 'feat: at /aide' &&
    git -C "$PLAY/avril-aide" push --quiet origin HEAD)
  cp "$SITE/docker-compose.yml" "$BATS_TEST_TMPDIR/"
  node - "$SITE/docker-compose.yml" <<'JS'
    const fs = require('node:fs')
    const [, , file] = process.argv
    const text = fs.readFileSync(file, 'utf8')
    const service = /^  nuxt_profile:\n(?:    .*\n|\n)+/m.exec(text)[0]
    fs.writeFileSync(file, text.replace(service, () => service + service.replaceAll('nuxt_profile', 'nuxt_aide').replaceAll('avril-profil', 'avril-aide')))
JS
  sed -i '/nuxt_aide/,/^  [a-z]/ s|avril.path: /mon-espace/|avril.path: /aide/version|' "$SITE/docker-compose.yml"
  # Until it has its location nobody can be sent to it: it goes again.
  run -1 deploy --probation 0 avril-aide
  assert_output --partial \
    'phase switch: nginx was switched, but http://127.0.0.1:8081/aide/version is answered by status 404'
  assert_output --partial 'the site is as it was'
  run -0 instances nuxt_aide
  assert_output ''
  # shellcheck disable=SC2016 # nginx's own variables
  printf 'location /aide/ {\n  set $app nuxt_aide;\n  set $port 3000;\n  include /etc/nginx/avril/proxy.conf;\n}\n' >>"$SITE/nginx/routes.conf"
  run -0 deploy --probation 0 avril-aide
  assert_output --partial 'nginx takes up what has changed: routes.conf'
  run -0 curl -fsS "$URL/aide/version"
  assert_output --partial '"app":"avril-profil"'
  assert_in_order nuxt_aide
}

# bats test_tags=long
@test "the releases of a former version leave docker-compose.override.yml, which is the team's; plain docker compose reads the same all the time" {
  deploy_greeting "before the move"
  run -0 grep ^COMPOSE_FILE= "$SITE/.env"
  assert_output 'COMPOSE_FILE=docker-compose.yml:docker-compose.releases.yml'
  # As a former version had left it, and as it is when the move is killed after each of its steps.
  mv "$SITE/docker-compose.releases.yml" "$SITE/docker-compose.override.yml"
  sed -i '/^COMPOSE_FILE=/d' "$SITE/.env"
  assert_compose_agrees nuxt_profile
  cp "$SITE/docker-compose.override.yml" "$SITE/docker-compose.releases.yml"
  assert_compose_agrees nuxt_profile
  echo 'COMPOSE_FILE=docker-compose.yml:docker-compose.releases.yml' >>"$SITE/.env"
  assert_compose_agrees nuxt_profile
  rm "$SITE/docker-compose.releases.yml"
  sed -i '/^COMPOSE_FILE=/d' "$SITE/.env"
  run -0 deploy --probation 0 --rollback avril-profil
  assert_output --partial 'so that plain docker compose reads the releases'
  assert [ ! -e "$SITE/docker-compose.override.yml" ]
  assert_in_order nuxt_profile
}

@test "an override of the team's counts for deploys as for plain docker compose, until it is removed" {
  printf 'services:\n  nuxt_profile:\n    environment: { OF_THE_TEAM: here }\n' >"$SITE/docker-compose.override.yml"
  run -0 deploy --probation 0 avril-profil
  run -0 compose exec -T nuxt_profile printenv OF_THE_TEAM
  assert_output here
  assert_in_order nuxt_profile
  run -0 grep ^COMPOSE_FILE= "$SITE/.env"
  assert_output 'COMPOSE_FILE=docker-compose.yml:docker-compose.override.yml:docker-compose.releases.yml'
  rm "$SITE/docker-compose.override.yml"
  run -0 deploy --probation 0 avril-profil
  run compose exec -T nuxt_profile printenv OF_THE_TEAM
  refute_output --partial here
  assert_in_order nuxt_profile
}

@test "secrets stand in no history, journal, log or world-readable file of the scripts" {
  set_env POSTGRES_PASSWORD=change-me
  run grep -r 'change-me' "$SITE/.state" "$SITE/docker-compose.releases.yml" "$SITE/nginx"
  assert_failure
  run -0 find "$SITE/.state" -maxdepth 0 -perm 700
  assert_output "$SITE/.state"
}

@test "the apps do not get the keys of the copies off the site, nor the addresses of those who hear of backups" {
  cp "$SITE/.env" "$BATS_TEST_TMPDIR/env"
  sed -i '/^NOTICE_URL=/d; /^PING_URL=/d' "$SITE/.env"
  printf '%s\n' NOTICE_URL=http://not-for-apps PING_URL=http://not-for-apps OFFSITE_ACCESS_KEY_ID=not-for-apps \
    OFFSITE_SECRET_ACCESS_KEY=not-for-apps HANDED_ON=handed-on >>"$SITE/.env"
  run -0 compose config
  cp "$BATS_TEST_TMPDIR/env" "$SITE/.env"
  # The others do reach them.
  assert_output --partial 'HANDED_ON: handed-on'
  refute_output --partial not-for-apps
}

# assets_image TAG NAME=CONTENT …: an image with such files in the folder that the label of nuxt_profile names, and some
# that nginx must not get
assets_image() {
  local tag=$1 folder="$BATS_TEST_TMPDIR/image" file
  shift
  rm -rf "$folder"
  mkdir -p "$folder/app/.nuxt/dist/client/pages" "$folder/bin"
  for file in "$@"; do printf '%s' "${file#*=}" >"$folder/app/.nuxt/dist/client/${file%%=*}"; done
  ln -s /etc/passwd "$folder/app/.nuxt/dist/client/link.js"
  ln -s /etc "$folder/app/.nuxt/dist/client/folder"
  echo '{}' >"$folder/app/.nuxt/dist/client/latest.json"
  tar --create --directory "$folder" . | docker import - "avril-test-assets:$tag" >/dev/null
}

# assets IMAGE …: what a deploy does with them; `prune`: what its end does
assets() {
  # shellcheck disable=SC2016 # for node
  node --import "$CHECKOUT/node_modules/tsx/dist/loader.mjs" --input-type=module --eval '
    const [site, ...images] = process.argv.slice(1)
    const { pruneAssets, serveAssets } = await import(`${site}/lib/deploy/assets.ts`)
    const { reportTo, say } = await import(`${site}/lib/system/progress.ts`)
    reportTo({ ...say, warn: console.log })
    const app = { assets: [{ folder: "/app/.nuxt/dist/client", path: "/mon-espace/_nuxt/" }, { folder: "/app/none", path: "/x/_nuxt/" }] }
    if (images[0] === "prune") await pruneAssets()
    else await serveAssets({ project: "avril-test-assets" }, app, images.map(tag => `avril-test-assets:${tag}`))' "$SITE" "$@"
}

served_assets() { (cd "$SITE/nginx/assets" && find . -mindepth 1 ! -type d | sort); }

@test "what is named after its content is taken out of images, stays while one of them does, and a link in an image is none" {
  local long one=aaaaaaaaaaaa-111111 two=bbbbbbbbbbbb-222222
  rm -rf "$SITE/nginx/assets" "$SITE/.state/assets.json"
  long=$(printf 'let a = 1;%.0s' {1..300})
  assets_image "$one" 0a1b2c3.js="$long" pages/lazy.1111111.js=lazy both.2222222.css=both
  assets_image "$two" 4d5e6f7.js=new both.2222222.css=both
  # A live release whose image is gone is no reason to fail.
  run -0 assets cccccccccccc-333333 "$one"
  assert_output ''
  run -0 served_assets
  assert_output './mon-espace/_nuxt/0a1b2c3.js
./mon-espace/_nuxt/0a1b2c3.js.gz
./mon-espace/_nuxt/both.2222222.css
./mon-espace/_nuxt/pages/lazy.1111111.js'
  run -0 zcat "$SITE/nginx/assets/mon-espace/_nuxt/0a1b2c3.js.gz"
  assert_output "$long"
  # A second time nothing is looked into.
  local seen
  seen=$(stat --format %i "$SITE/.state/assets.json")
  run -0 assets "$one"
  assert_equal "$(stat --format %i "$SITE/.state/assets.json")" "$seen"
  # A file that went is brought again.
  rm "$SITE/nginx/assets/mon-espace/_nuxt/pages/lazy.1111111.js"
  run -0 assets "$one" "$two"
  run -0 served_assets
  assert_line ./mon-espace/_nuxt/pages/lazy.1111111.js
  assert_line ./mon-espace/_nuxt/4d5e6f7.js
  docker image rm --force "avril-test-assets:$one" >/dev/null
  run -0 assets prune
  run -0 served_assets
  assert_output './mon-espace/_nuxt/4d5e6f7.js
./mon-espace/_nuxt/both.2222222.css'
  assert_equal "$(docker ps --all --quiet --filter name=avril-test-assets)" ''
  docker image rm --force "avril-test-assets:$two" >/dev/null
  # What cannot be done is said, and holds up nothing.
  mv "$SITE/nginx/assets" "$BATS_TEST_TMPDIR/assets"
  assets_image "$one" 0a1b2c3.js=x
  : >"$SITE/nginx/assets"
  run -0 assets "$one"
  assert_output --partial 'pages that are open now may miss files after the deploy'
  rm "$SITE/nginx/assets"
  docker image rm --force "avril-test-assets:$one" >/dev/null
}
