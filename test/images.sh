#!/usr/bin/env bash
# Makes sure that every image that docker-compose.yml names is there: it is pulled, and where no registry can be reached
# a stand-in of the same name is built from Debian's packages. Does nothing when all of them are there.
# images.sh acme: an authority (pebble) and certbot, of Debian.
# images.sh registry: a registry of images, of Debian.
# images.sh ceph: an S3 server with object lock, of Debian.
# images.sh old [version]: the same for the database of an old server: PostgreSQL 15 (of Debian 12) or 17 (of Debian
# 13), which Debian has of those before today's.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
old=avril-old-postgis:${2:-15}
acme=avril-acme:forky
ceph=avril-ceph:forky
registry_image=registry:3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'images: %s\n' "$*" >&2; }

# Runs a long command with its output in a log, whose end is shown when it fails.
quietly() {
  local log=$work/log-$BASHPID
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    say "failed: $1 $2"
    return 1
  fi
}

# Services that are not built name their image, the others the one that they are built on.
needed() {
  docker compose --project-directory "$here/.." -f "$here/../docker-compose.yml" config --format json | node -e '
    const services = Object.values(JSON.parse(require("node:fs").readFileSync(0, "utf8")).services)
    const names = services.map(({ image, build }) => (build ? build.args?.BASE : image)).filter(Boolean)
    console.log([...new Set(names)].join("\n"))'
}

# A stand-in whose sources have changed since it was built counts as absent.
present() {
  local made
  made=$(docker image inspect --format '{{with .Config.Labels}}{{index . "avril.source"}}{{end}}' "$1" 2>/dev/null) ||
    return 1
  [ -z "$made" ] || [ "$made" = "$(source_of "$1")" ]
}

source_of() {
  local folder
  folder=$here/standins/$(standin_of "$1")
  (cd "$folder" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
}

standin_of() {
  case $1 in
    nginx:*) echo nginx ;;
    *postgis* | postgres:*) echo postgres ;;
    *silo:* | *minio:*) echo s3 ;;
    elixir:*) echo elixir ;;
    node:*) echo node ;;
    "$acme") echo acme ;;
    "$ceph") echo ceph ;;
    "$registry_image") echo registry ;;
    *) return 1 ;;
  esac
}

registry=unknown

# The first attempt also finds out whether a registry answers at all; if none does, nobody waits for it again.
pull() {
  [ "$registry" != unreachable ] || return 1
  say "pulling $1"
  timeout 20 docker pull "$1" >"$work/pull" 2>&1 && registry=reachable && return 0
  if grep -q 'Pulling from' "$work/pull"; then
    registry=reachable
    timeout 900 docker pull "$1" >"$work/pull" 2>&1 && return 0
  elif [ "$registry" = unknown ] &&
    ! grep -Eqi 'manifest unknown|not found|access denied|toomanyrequests' "$work/pull"; then
    registry=unreachable
    say 'no registry can be reached, so stand-ins are built from Debian packages'
    return 1
  fi
  say "$1 cannot be pulled: $(tail -n 1 "$work/pull")"
  return 1
}

# import_base SUITE: Debian itself
import_base() {
  local suite=$1 base=avril-standin-base:$1
  ! present "$base" || return 0
  if ! command -v mmdebstrap >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      say 'mmdebstrap is missing: as root, apt-get install mmdebstrap'
      return 69
    fi
    say 'installing mmdebstrap'
    quietly apt-get update
    DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends mmdebstrap debian-archive-keyring
  fi
  say "making $base (Debian $suite, about 20 s)"
  export APT_CLEAN=$here/standins/base/apt-clean
  # shellcheck disable=SC2016 # $1 is the new root, known to the hook
  quietly mmdebstrap --variant=minbase --format=tar --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1"/var/cache/apt/*.bin; cp "$APT_CLEAN" "$1/etc/apt/apt.conf.d/zz-clean"' \
    "$suite" "$work/base.tar" http://deb.debian.org/debian
  quietly docker import --change 'LABEL avril.standin=true' "$work/base.tar" "$base"
}

build_standin() {
  local image=$1 name context
  name=$(standin_of "$image") || { say "there is no stand-in for $image"; return 1; }
  context=$work/$name
  local arguments=()
  if [ "$image" = "$old" ]; then
    local suite
    case ${old#*:} in
      15) suite=bookworm ;;
      17) suite=trixie ;;
      *) say "no Debian here has PostgreSQL ${old#*:}"; return 64 ;;
    esac
    import_base "$suite"
    arguments=(--build-arg BASE="avril-standin-base:$suite" --build-arg VERSION="${old#*:}")
  else
    import_base forky
  fi
  say "building a stand-in for $image"
  cp -R "$here/standins/$name" "$context"
  if [ "$name" = node ]; then
    (cd "$context" && quietly npm pack npm@11 && mv npm-*.tgz npm.tgz)
  fi
  quietly docker buildx build "${arguments[@]}" --label "avril.source=$(source_of "$image")" -t "$image" "$context"
}

case ${1:-} in
  old) present "$old" || build_standin "$old"; exit ;;
  acme) present "$acme" || build_standin "$acme"; exit ;;
  registry) present "$registry_image" || pull "$registry_image" || build_standin "$registry_image"; exit ;;
  ceph) present "$ceph" || build_standin "$ceph"; exit ;;
esac

mapfile -t images < <(needed)
if [ "${#images[@]}" = 0 ]; then
  say 'docker-compose.yml names no image'
  exit 1
fi
missing=()
for image in "${images[@]}"; do
  present "$image" || pull "$image" || missing+=("$image")
done
[ "${#missing[@]}" -eq 0 ] && exit
import_base forky
# Beside each other: each waits for packages for half of its time.
builds=() status=0
for image in "${missing[@]}"; do build_standin "$image" & builds+=("$!"); done
for build in "${builds[@]}"; do wait "$build" || status=$?; done
exit "$status"
