#!/usr/bin/env bash
# cluster.sh up|down FOLDER [NODES]: so many machines (three) on this one, as root: an engine and an sshd each, in
# namespaces of their own, with the addresses 10.77.0.11 and up on a switch that nobody else has. Nothing of this
# machine's own engine or network is touched. They join no Swarm by themselves.
# cluster.sh on FOLDER NODE COMMAND …: runs a command on one of them.
# cluster.sh link FOLDER NODE up|down: connects one of them, or cuts it off.
# cluster.sh power FOLDER off|on: a power cut of all of them at once, and its end.
# cluster.sh burn FOLDER NODE: it is gone, with all that ran there.
#
# NEWER names those that are Debian forky, with its engine (28 and later): NEWER=3
#
# FOLDER/home is one path on all of them and another folder on each, as /home is: on the first it is what this machine
# has there. ssh on each of them knows the others (node1, node2 …).
set -euo pipefail

action=${1:?usage: cluster.sh up|down|on|link|power|burn FOLDER …}
folder=${2:?the folder of the cluster}
shift 2
switch=avril-switch

# Its engine is what a node is told by: a process in its namespaces.
engine_of() { cat "$folder/$1/run/docker.pid"; }

on() {
  local node=$1
  shift
  exec nsenter --target "$(engine_of "$node")" --net --mount --uts -- "$@"
}

# Nothing of it is kept, so nothing need end by itself.
end_node() {
  local node=$1 file pid
  (on "$node" sh -c 'docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes; docker swarm leave --force; docker ps --all --quiet | xargs --no-run-if-empty docker rm --force') >/dev/null 2>&1 || true
  for file in "$folder/$node"/run/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    if grep -qaE 'dockerd|sshd' "/proc/$pid/cmdline" 2>/dev/null; then
      kill "$pid" 2>/dev/null || true
      timeout 15 tail --pid="$pid" --follow /dev/null || kill -9 "$pid" || true
    fi
    rm -f "$file"
  done
}

# Whatever another run of this folder has left, too.
down() {
  local node
  for node in "$folder"/[0-9]*; do
    [ -e "$node/run/docker.pid" ] || continue
    end_node "$(basename "$node")" &
  done
  wait
  for node in "$switch" avril-node1 avril-node2 avril-node3 avril-node4 avril-node5; do
    [ -e "/run/netns/$node" ] || continue
    # What its engine has left: shims, and connections of ssh.
    ip netns pids "$node" | xargs --no-run-if-empty kill -9 2>/dev/null || true
    ip netns del "$node" || true
  done
  findmnt --raw --noheadings --output TARGET | grep -F "$folder/" | sort -r |
    xargs --no-run-if-empty -d '\n' umount -l || true
  rm -rf "$folder"/[0-9]* "$folder/ssh" "$folder/newer"
}

keys() {
  mkdir -p "$folder/ssh"
  chmod 700 "$folder/ssh"
  ssh-keygen -q -t ed25519 -N '' -f "$folder/ssh/host"
  ssh-keygen -q -t ed25519 -N '' -f "$folder/ssh/id"
  cp "$folder/ssh/id.pub" "$folder/ssh/authorized_keys"
  {
    printf 'UserKnownHostsFile %s/ssh/known_hosts\nIdentityFile %s/ssh/id\nIdentitiesOnly yes\n' "$folder" "$folder"
    for node in $(seq "$count"); do printf 'Host node%s\n  HostName 10.77.0.1%s\n' "$node" "$node"; done
  } >"$folder/ssh/config"
  for node in $(seq "$count"); do
    printf 'node%s,10.77.0.1%s %s\n' "$node" "$node" "$(cut -d ' ' -f 1,2 "$folder/ssh/host.pub")"
  done >"$folder/ssh/known_hosts"
}

is_newer() { [[ " ${NEWER:-} " == *" $1 "* ]]; }

# The programs of Debian forky. They need nothing of the older one but its /etc.
newer() {
  docker build --quiet --tag avril-cluster-newer - >/dev/null <<'END'
FROM avril-standin-base:forky
RUN apt-get update && apt-get install -y --no-install-recommends docker.io docker-cli docker-compose docker-buildx openssh-server openssh-client iproute2 procps curl ca-certificates openssl git nodejs cron && rm -rf /var/lib/apt/lists/*
END
  mkdir -p "$folder/newer"
  local container
  container=$(docker create avril-cluster-newer true)
  docker export "$container" | tar -x -C "$folder/newer" usr
  docker rm "$container" >/dev/null
}

# What a machine begins with, in its namespaces.
machine() {
  local node=$1 own=$folder/$1
  cat <<END
set -e
hostname node$node
$(is_newer "$node" && printf "mount --rbind '%s' /usr\n" "$folder/newer/usr")
mount --make-rprivate /
mount --rbind /sys/fs/cgroup '$own/cgroup'
mount -t sysfs sysfs /sys
mount --rbind '$own/cgroup' /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/docker /run/lock /run/sshd
mkdir -p /etc/docker '$own/docker' '$own/tmp' '$own/cron' '$own/sysctl'
mount --bind '$own/docker' /etc/docker
mount --bind '$own/cron' /etc/cron.d
mount --bind '$own/sysctl' /etc/sysctl.d
mount --bind '$own/home' '$folder/home'
mount --bind '$folder/ssh/config' /etc/ssh/ssh_config
[ -d /root/.ssh ] && mount -t tmpfs tmpfs /root/.ssh
cron
/usr/sbin/sshd -f /dev/null -o 'PidFile=$own/run/sshd.pid' -o 'HostKey=$folder/ssh/host' -o 'AuthorizedKeysFile=$folder/ssh/authorized_keys' -o StrictModes=no -o PasswordAuthentication=no -o MaxStartups=100 -o MaxSessions=100 -o 'ListenAddress=10.77.0.1$node'
exec dockerd --data-root '$own/data' --exec-root '$own/exec' --pidfile '$own/run/docker.pid' --bip 172.3$node.0.1/24
END
}

start() {
  local node=$1
  nsenter --net="/run/netns/avril-node$node" unshare --uts --mount sh \
    "$folder/$node/machine" >>"$folder/$node/log" 2>&1 </dev/null 3>&- &
}

await_engines() {
  local node tries=600
  for node in "$@"; do
    until [ -s "$folder/$node/run/docker.pid" ] && (on "$node" docker version) >/dev/null 2>&1; do
      tries=$((tries - 1))
      [ "$tries" -gt 0 ] || {
        tail -n 20 "$folder/$node/log" >&2
        printf 'cluster: the engine of node %s does not answer\n' "$node" >&2
        exit 69
      }
      sleep 0.1
    done
  done
}

# What runs in containers is in namespaces of its own.
processes_of() {
  ip netns pids "avril-node$1"
  find "$folder/$1/data/containers" -mindepth 1 -maxdepth 1 -printf '%f\n' | while read -r container; do
    find /sys/fs/cgroup -path "*$container*/cgroup.procs" -exec cat {} +
  done | sort -u
}

power() {
  local node nodes
  mapfile -t nodes < <(cd "$folder" && printf '%s\n' [0-9]*)
  if [ "$1" = on ]; then
    for node in "${nodes[@]}"; do start "$node"; done
    await_engines "${nodes[@]}"
    return
  fi
  for node in "${nodes[@]}"; do processes_of "$node"; done | xargs kill -9 2>/dev/null || true
  # A shim is told of the end of a container by it: who was started meanwhile goes, too.
  for node in "${nodes[@]}"; do
    processes_of "$node" | xargs --no-run-if-empty kill -9 2>/dev/null || true
    # What a machine has in /run.
    rm -rf "$folder/$node"/run/*.pid "$folder/$node"/exec/*
  done
}

up() {
  count=${1:-3}
  down
  mkdir -p "$folder/home"
  keys
  [ -z "${NEWER:-}" ] || newer
  ip netns add "$switch"
  # The one of this machine would be filtered by its rules.
  ip -n "$switch" link add name bridge0 type bridge
  ip -n "$switch" addr add 10.77.0.1/24 dev bridge0
  ip -n "$switch" link set lo up
  ip -n "$switch" link set bridge0 up
  for node in $(seq "$count"); do
    local name=avril-node$node own=$folder/$node
    mkdir -p "$own"/{data,exec,run,cgroup,home}
    [ "$node" != 1 ] || { rmdir "$own/home"; ln -s "$folder/home" "$own/home"; }
    ip netns add "$name"
    ip link add "avril-v$node" type veth peer name eth0 netns "$name"
    ip link set "avril-v$node" netns "$switch"
    ip -n "$switch" link set "avril-v$node" master bridge0 up
    ip -n "$name" addr add "10.77.0.1$node/24" dev eth0
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    ip -n "$name" route add default via 10.77.0.1
    machine "$node" >"$own/machine"
    start "$node"
  done
  # shellcheck disable=SC2046 # numbers
  await_engines $(seq "$count")
}

case $action in
  up) up "$@" ;;
  down) down ;;
  on) on "$@" ;;
  link) ip -n "$switch" link set "avril-v$1" "$2" ;;
  power) power "$@" ;;
  burn)
    ip -n "$switch" link set "avril-v$1" down
    end_node "$1"
    ;;
  *) printf 'cluster: there is no %s\n' "$action" >&2; exit 64 ;;
esac
