# A script in a real terminal (tmux). Each terminal has a tmux server of its own: one that was told to end may still be
# there for a moment.
# shellcheck shell=bash

SCREEN=0-0

screen() { tmux -L "$STACK-$SCREEN" "$@" 3>&-; }

# open_screen CHECKOUT NAME [argument …]: a script of a checkout in a terminal of 80 × 24; SCREEN_LOG grows with each
# change of the screen
open_screen() {
  local at=$1 name=$2
  shift 2
  SCREEN=${BATS_TEST_NUMBER:-0}-$((${SCREEN#*-} + 1))
  SCREEN_LOG=$BATS_TEST_TMPDIR/screen-$SCREEN
  : >"$SCREEN_LOG"
  # shellcheck disable=SC2016 # for the shell in the terminal
  env -u SSH_CONNECTION tmux -L "$STACK-$SCREEN" -f /dev/null -u new-session -d -x 80 -y 24 \
    bash -c 'node --import "$0" "$@"; echo "ended with $?"; exec sleep 600' \
    "$CHECKOUT/node_modules/tsx/dist/loader.mjs" "$at/scripts/$name.ts" "$@" 3>&-
  screen pipe-pane "cat >>'$SCREEN_LOG'"
}

# await_screen PATTERN: waits until a line of the screen matches; 180 s at most
await_screen() {
  local end=$((SECONDS + 180))
  until screen capture-pane -p | grep -qE -- "$1"; do
    [ "$SECONDS" -lt "$end" ] || { printf 'no line like %s on:\n' "$1"; screen capture-pane -p; return 1; }
    inotifywait --quiet --quiet --timeout 1 --event modify "$SCREEN_LOG" || true
  done
}

# enter TEXT: types a line. tmux takes a semicolon at the end for its own.
enter() { screen send-keys -l -- "${1/%;/\\;}" && screen send-keys Enter; }

close_screen() { screen kill-server 2>/dev/null || true; }
