#!/bin/bash
# psql for a person at a terminal. Runs in the postgres container (lib/console/psql.ts hands over this text) and makes
# up for what that lacks.

# A terminal that is not known there is treated like the most common one.
infocmp >/dev/null 2>&1 || export TERM=xterm-256color

# Wide rows are cut at the edge, where the arrows lead on, instead of being wrapped; what fits on the screen is just
# printed.
PAGER=${PAGER:-$(command -v less || command -v more || echo cat)}
export PAGER LESS="${LESS:--FSX}"

# The image of PostgreSQL has no editor. bash's own line editing takes several lines and is there.
edit() {
  local file=${*: -1} text up='"\e\C-]\C-j"' down='"\C-b\C-]\C-j\C-f"' binding
  # Up and Down look for the end of a line: readline's own way to go up is one by the width of the screen.
  for binding in '"\C-j": self-insert' '"\e[A": '"$up" '"\eOA": '"$up" '"\e[B": '"$down" '"\eOB": '"$down"; do
    bind "$binding" 2>/dev/null
  done
  echo '-- no editor here: edit this. Ctrl-J new line, Enter done, Ctrl-C as before'
  IFS= read -r -e -d $'\r' -i "$(cat "$file")" text && printf '%s\n' "$text" >"$file"
}
EDIT=$(declare -f edit)
# shellcheck disable=SC2016 # for the shell that psql starts
PSQL_EDITOR=${PSQL_EDITOR:-${EDITOR:-$(command -v nano || command -v vim || command -v vi ||
  echo 'bash -c "$EDIT; edit \"\$@\"" edit')}}
export EDIT PSQL_EDITOR PSQL_EDITOR_LINENUMBER_ARG=+

exec psql "$@"
