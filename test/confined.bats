#!/usr/bin/env bats
# What who breaks into a container finds there: no right, no network, no secret beyond what that service needs. And an existing site goes on working until setup.ts --upgrade changes it.

# bats sets these in `run --separate-stderr`.
# shellcheck disable=SC2154
load helpers/site

setup_file() { site_up avril-test-confined 18270 "BACKUP_DIR=$BATS_FILE_TMPDIR/sets" 2>&1; }
teardown_file() { site_down; }

in_service() {
  local service=$1
  shift
  compose exec --no-TTY "$service" "$@"
}

# The capabilities of Linux are bits: 0 CHOWN, 1 DAC_OVERRIDE, 3 FOWNER, 5 KILL, 6 SETGID, 7 SETUID, 10 NET_BIND_SERVICE.
@test "no container has a right that its service does not need, and none can get one" {
  while read -r service user capabilities memory; do
    run -0 in_service "$service" sh -c 'echo "$(id -u)" "$(grep -cx "NoNewPrivs:	1" /proc/self/status)" $(sed -n "s/^CapBnd:	//p" /proc/self/status)'
    echo "$service: $output"
    assert_regex "$output" "^$user 1 0*$capabilities$"
    run -0 docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$STACK-$service-1"
    assert_output "$memory 1024"
  done <<'END'
phoenix       [1-9][0-9]* 0   2147483648
nuxt_profile  [1-9][0-9]* 0   1073741824
nuxt_booklet  [1-9][0-9]* 0   1073741824
nginx         0           4e3 1073741824
postgres      0           eb  0
minio         0           eb  0
END
}

address_of() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$STACK-$1-1"; }

# reaches SERVICE SERVICE PORT: by its name, or by any of its addresses
reaches() {
  local to
  for to in "$2" $(address_of "$2"); do
    if in_service "$1" timeout 2 bash -c "exec 3<>/dev/tcp/$to/$3" 2>/dev/null; then return 0; fi
  done
  return 1
}

@test "a container reaches those that it needs, and no other, by name or by address" {
  while read -r from to port answer; do
    echo "$from $to"
    if reaches "$from" "$to" "$port"; then assert_equal "$answer" yes; else assert_equal "$answer" no; fi
  done <<'END'
phoenix      postgres     5432 yes
phoenix      minio        9000 yes
phoenix      nginx        8080 yes
nuxt_profile nginx        8080 yes
nuxt_profile postgres     5432 no
nuxt_profile minio        9000 no
nuxt_booklet postgres     5432 no
nginx        phoenix      4000 yes
nginx        nuxt_booklet 3000 yes
nginx        minio        9000 yes
nginx        postgres     5432 no
minio        phoenix      4000 yes
minio        nuxt_profile 3000 no
postgres     nginx        8080 no
END
}

@test "the database and the files reach nothing outside" {
  local gateway
  gateway=$(docker network inspect --format '{{(index .IPAM.Config 0).Gateway}}' "${STACK}_default")
  for service in postgres minio; do
    run -0 in_service "$service" cat /proc/net/route
    refute_line --regexp '^eth[0-9]+	00000000	'
    run ! in_service "$service" timeout 2 bash -c "exec 3<>/dev/tcp/$gateway/18270"
  done
}

@test "phoenix writes beside its code, as somebody who is not root" {
  run -0 in_service phoenix sh -c 'mkdir -p priv/mnesia priv/tabs && touch priv/mnesia/x priv/tabs/x && stat -c %U priv/tabs/x && mix ecto.migrate --no-compile && mix help ecto.migrate >/dev/null; id -un'
  assert_line --index 0 app
  assert_line app
}

@test "a deploy of each app works, and one whose Dockerfile forgets USER is warned of" {
  local own="$PLAY/own"
  for app in avril avril-profil avril-livret1; do
    run -0 deploy --probation 0 "$app"
    refute_output --partial 'runs as root'
    assert_equal "$(greeting "$app")" 'revision 1'
  done
  cp "$SITE/docker-compose.yml" "$BATS_TEST_TMPDIR/docker-compose.yml"
  git clone --quiet "$PLAY/origin/avril-profil.git" "$own"
  # shellcheck disable=SC2016 # for the Dockerfile
  printf '%s\n' 'FROM node:24.21.0-trixie-slim' 'RUN command -v curl || { apt-get update && apt-get install -y curl; }' 'WORKDIR /app' 'COPY . .' 'RUN npm run build' 'CMD ["npm", "start"]' >"$own/Dockerfile"
  git -C "$own" add Dockerfile
  git -C "$own" -c user.name=test -c user.email=test@example.org commit --quiet --message 'its own'
  git -C "$own" push --quiet origin HEAD
  sed -i '/^  nuxt_profile:/,/^  nuxt_booklet:/{/extends:/d}' "$SITE/docker-compose.yml"
  run -0 deploy --probation 0 avril-profil
  cp "$BATS_TEST_TMPDIR/docker-compose.yml" "$SITE/docker-compose.yml"
  assert_output --partial 'nuxt_profile runs as root in its container; give its Dockerfile a line USER'
  run -0 deploy --probation 0 --rollback avril-profil
}

@test "a changed setting of the hosting changes nothing that runs" {
  set_env BACKUP_DAYS=30 FORMER_DAYS=30
  for service in phoenix nuxt_profile nuxt_booklet; do assert_compose_agrees "$service"; done
}

@test "the uploaded files are saved, and served, through the networks of their own" {
  run -0 script backup
  run -22 curl -fsS "$URL/files/none"
  assert_output --partial 404
}
