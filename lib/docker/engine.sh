#!/usr/bin/env bash
# engine.sh [package …]: makes sure that there is a Docker engine with Compose v2, and that the packages are installed
# whose names are those of their commands (git, cron). Says nothing when all is there. On Debian and Ubuntu as root it
# installs what is missing and starts the engine; elsewhere it says what is missing and ends with 69.
set -euo pipefail
# apt has one exit code for all; what it says is read below.
export LC_ALL=C

plugins=/usr/libexec/docker/cli-plugins

say() { printf 'engine: %s\n' "$*" >&2; }
give_up() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 69
}

engine_answers() { docker info >/dev/null 2>&1; }

# 2.24 is the first that reads docker-compose.yml; until 2.24.5 it takes a port that is named twice for two.
compose_is_good() {
  local version
  version=$(docker compose version --short 2>/dev/null) || return 1
  printf '2.24.6\n%s\n' "${version#v}" | sort -CV
}

# Old engines build with BuildKit themselves, newer clients only with this plugin.
can_build() { docker buildx version >/dev/null 2>&1; }

quiet_apt() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@"; }

# dpkg cannot configure what was unpacked before what it needs: apt brings that.
complete_installation() {
  DEBIAN_FRONTEND=noninteractive dpkg --configure -a || quiet_apt install -y --no-install-recommends --fix-broken
}

# On a new server another program often installs packages (unattended-upgrades), and one that was killed leaves dpkg
# half-way: neither is a failure.
patient_apt() {
  local deadline=$((SECONDS + 900)) completed=no
  until quiet_apt "$@" >"$log.last" 2>&1 {lock}<&-; do
    cat "$log.last" >>"$log"
    if [ "$completed" = no ] && grep -qE 'dpkg was interrupted|--fix-broken|needs to be reinstalled' "$log.last"; then
      say 'an installation was interrupted: completing it'
      completed=yes
      complete_installation >>"$log" 2>&1 {lock}<&- || return 1
    elif grep -q 'Could not get lock' "$log.last" && [ "$SECONDS" -lt "$deadline" ]; then
      say 'another program is installing packages: waiting for it'
      sleep 5
    else
      return 1
    fi
  done
  cat "$log.last" >>"$log"
}

add_packages() {
  patient_apt install -y --no-install-recommends "$@" && return
  tail -n 5 "$log" >&2
  give_up "$* could not be installed" \
    'is there a network, and do the sources of apt answer (apt-get update)? Then run this again'
}

# What apt would install: a version, or nothing.
candidate() {
  { apt-cache show --no-all-versions "$1" 2>/dev/null || true; } | sed -n 's/^Version: //p'
}

# bookworm has neither plugin in a version that is new enough. Trixie's are single static programs that run on any
# Debian.
take_from_trixie() {
  local folder=$work/trixie
  mkdir -p "$folder/lists/partial" "$plugins"
  printf 'deb [signed-by=%s] http://deb.debian.org/debian trixie main\n' \
    /usr/share/keyrings/debian-archive-keyring.gpg >"$folder/sources.list"
  local apt=(apt-get -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$folder/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o APT::Sandbox::User=root)
  "${apt[@]}" update >>"$log" 2>&1
  (cd "$folder" && "${apt[@]}" download "$@" >>"$log" 2>&1)
  local package
  for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
  install -m 755 -t "$plugins" "${@/#/$folder/root/usr/libexec/docker/cli-plugins/}"
}

install_plugins() {
  local missing=()
  if ! compose_is_good; then
    local package version
    for package in docker-compose-v2 docker-compose; do
      version=$(candidate "$package")
      if [ -n "$version" ] && printf '2.24.6\n%s\n' "$version" | sort -CV; then
        say "installing $package"
        add_packages "$package"
        break
      fi
    done
    compose_is_good || missing+=(docker-compose)
  fi
  if ! can_build; then
    if [ -n "$(candidate docker-buildx)" ]; then
      say 'installing docker-buildx'
      add_packages docker-buildx
    fi
    can_build || missing+=(docker-buildx)
  fi
  if [ "${#missing[@]}" != 0 ]; then
    say "taking ${missing[*]} from Debian trixie, into $plugins"
    take_from_trixie "${missing[@]}"
  fi
}

start_engine() {
  local dockerd=
  if [ -d /run/systemd/system ]; then
    say 'starting docker.service'
    systemctl start docker {lock}<&-
  else
    say 'starting dockerd, its log is /var/log/dockerd.log'
    # One of its proxies that runs out of descriptors under load stops answering, and its container still counts as up.
    ulimit -n 1048576 2>/dev/null || true
    setsid dockerd </dev/null >>/var/log/dockerd.log 2>&1 {lock}<&- &
    dockerd=$!
  fi
  local deadline=$((SECONDS + 60))
  until engine_answers; do
    if [ "$SECONDS" -ge "$deadline" ] || { [ -n "$dockerd" ] && ! kill -0 "$dockerd" 2>/dev/null; }; then
      if [ -f /var/log/dockerd.log ]; then tail -n 20 /var/log/dockerd.log >&2; fi
      give_up 'the Docker engine did not start' 'read its log: journalctl -u docker, or /var/log/dockerd.log'
    fi
    sleep 0.2
  done
}

others=()
for package in "$@"; do command -v "$package" >/dev/null || others+=("$package"); done
if engine_answers && compose_is_good && can_build && [ "${#others[@]}" = 0 ]; then exit 0; fi

if ! command -v apt-get >/dev/null; then
  give_up "this needs a Docker engine with Compose 2.24.6 or later and buildx${others:+, and ${others[*]}}" \
    'this is neither Debian nor Ubuntu: install them (https://docs.docker.com/engine/install/), then run this again'
fi
if [ "$(id -u)" != 0 ]; then
  give_up "no Docker engine with Compose 2.24.6 or later answers${others:+, or ${others[*]} is missing}, and only root can install that" \
    'run this as root (sudo), or join the group docker if the engine is there: sudo usermod -aG docker YOU'
fi

# Whoever was killed may have left this very script at work. What it starts must not hold the lock, or a server that
# goes on would. A node of a Swarm is sent the script and has no file of it; dpkg itself locks others.
exec {lock}</var/lib/dpkg
flock --nonblock "$lock" || { say 'another one is at work: waiting for it'; flock "$lock"; }

work=$(mktemp -d)
log=$work/log
touch "$log"
ended() {
  local status=$?
  if [ "$status" != 0 ] && [ "$status" != 69 ]; then tail -n 20 "$log" >&2; fi
  rm -rf "$work"
}
trap ended EXIT

engine_is_missing() { ! command -v docker >/dev/null || { ! engine_answers && ! command -v dockerd >/dev/null; }; }

if [ "${#others[@]}" != 0 ] || engine_is_missing || ! compose_is_good || ! can_build; then
  say 'reading the lists of packages'
  # It ends with 0 when it reached nobody.
  if ! patient_apt update || grep -q '^W: Failed to fetch' "$log.last"; then
    say 'not all lists of packages could be read (is there a network?)'
  fi
fi
if [ "${#others[@]}" != 0 ]; then
  say "installing ${others[*]}"
  add_packages "${others[@]}"
fi
if engine_is_missing; then
  say 'installing docker.io'
  add_packages docker.io iptables ca-certificates
  # From forky on the client is a package of its own.
  command -v docker >/dev/null || add_packages docker-cli
fi
install_plugins
engine_answers || start_engine
compose_is_good ||
  give_up 'Compose 2.24.6 or later could not be installed' 'install the package docker-compose-plugin of docker.com'
say "ready: engine $(docker version --format '{{.Server.Version}}'), Compose $(docker compose version --short)"
