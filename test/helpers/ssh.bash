# A real sshd on this machine plays the server of a site, with keys, a HOME and a working folder of its own; a second
# checkout plays the laptop.
# shellcheck shell=bash

# sshd_up PORT: starts it, and makes the laptop's checkout (LAPTOP) and its configuration of ssh, in which the host is
# "server"
sshd_up() {
  local port=$1
  export SSH_DIR=$BATS_FILE_TMPDIR/ssh LAPTOP=$BATS_FILE_TMPDIR/laptop
  mkdir -p "$SSH_DIR/bin" "$SSH_DIR/home" /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$SSH_DIR/host"
  ssh-keygen -q -t ed25519 -N '' -f "$SSH_DIR/key"
  printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$SSH_DIR/host.pub")" >"$SSH_DIR/known"
  printf '%s\n' 'UsePAM no' 'StrictModes no' 'PasswordAuthentication no' "HostKey $SSH_DIR/host" \
    "AuthorizedKeysFile $SSH_DIR/key.pub" \
    "SetEnv HOME=$SSH_DIR/home" 'ClientAliveInterval 1' 'ClientAliveCountMax 2' >"$SSH_DIR/sshd_config"
  serve 127.0.0.1 "$port"
  host server "$port"
  # The user's own configuration: ssh looks for it in the home folder that the system knows, whatever HOME says.
  # shellcheck disable=SC2016 # for the shell that becomes ssh
  printf '#!/bin/sh\nexec %s -F "%s/config" "$@"\n' "$(command -v ssh)" "$SSH_DIR" >"$SSH_DIR/bin/ssh"
  chmod +x "$SSH_DIR/bin/ssh"
  XDG_RUNTIME_DIR=$(mktemp -d /tmp/ssh.XXXXXX)
  export PATH=$SSH_DIR/bin:$PATH XDG_RUNTIME_DIR
  cp -R "$SITE" "$LAPTOP"
  rm -rf "$LAPTOP/.state" "$LAPTOP/db" "$LAPTOP/docker-compose.releases.yml"
  printf '%s\n' DEPLOY_HOST=server "DEPLOY_PATH='$SITE'" >"$LAPTOP/.env"
}

# serve ADDRESS PORT [sshd option …], in a network namespace when NETNS names one
serve() {
  local address=$1 port=$2
  shift 2
  ${NETNS:+ip netns exec "$NETNS"} "$(command -v sshd)" -f "$SSH_DIR/sshd_config" -E "$SSH_DIR/log" \
    -o "PidFile=$SSH_DIR/pid-$port" -o "ListenAddress=$address:$port" "$@" 3>&-
}

# host NAME PORT [line …]: a host in the laptop's configuration of ssh; of several lines for the same setting the first
# counts
host() {
  local name=$1 port=$2
  shift 2
  printf '%s\n' "Host $name" "$@" 'HostName 127.0.0.1' "Port $port" 'User root' "IdentityFile $SSH_DIR/key" \
    'IdentitiesOnly yes' \
    "UserKnownHostsFile $SSH_DIR/known" >>"$SSH_DIR/config"
}

sshd_down() {
  local pid
  drop_connections
  for pid in "$SSH_DIR"/pid-*; do kill "$(cat "$pid")"; done
  rm -rf "$XDG_RUNTIME_DIR"
}

# Ends the connections that calls share, and those calls with them: for the server this is a lost line.
drop_connections() { pkill --full "${XDG_RUNTIME_DIR:?}/" || true; }

# exec_remote NAME …: becomes a script of the laptop's checkout
exec_remote() {
  local name=$1
  shift
  exec node "$LAPTOP/scripts/$name.js" "$@" 3>&-
}

remote() { (exec_remote "$@" </dev/null); }
