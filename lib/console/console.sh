# shellcheck shell=sh
# The console of an app, in its container (lib/console/console.ts hands over this text). "$@" is the command that opens
# one; without a word it is a shell of the node that runs there.

# A terminal that is not known there is treated like the most common one.
infocmp >/dev/null 2>&1 || export TERM=xterm-256color

# A second node cannot have the name of the first.
case "${ELIXIR_ERL_OPTIONS:-} ${ERL_FLAGS:-}" in *-name\ * | *-sname\ *) unset ELIXIR_ERL_OPTIONS ERL_FLAGS ;; esac

[ $# -eq 0 ] || exec "$@"

# The words after -sname, -name and -setcookie with which a node was started; consoles like this one (-remsh) do not
# count.
word_after() {
  for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2>/dev/null)" = beam.smp ] || continue
    tr '\0' '\n' <"$process/cmdline" | grep -qx -e -remsh && continue
    tr '\0' '\n' <"$process/cmdline" | sed -n "/^$1\$/{n;p;q}"
  done | head -n 1
}

kind=--sname
name=$(word_after -sname)
if [ -z "$name" ]; then
  name=$(word_after -name)
  if [ -n "$name" ]; then
    kind=--name
  else
    name=$(epmd -names 2>/dev/null | sed -n 's/^name \(.*\) at port .*/\1/p' | grep -v '^console-' | head -n 1)
  fi
fi
if [ -z "$name" ]; then
  echo 'error: the running node has no name, so nobody can attach to it' >&2
  echo 'hint: have the app started with one (elixir --sname avril -S mix phx.server); without --remote-shell a console of its own opens' >&2
  exit 1
fi
host=$(hostname -s)
case $name in *@*) host=${name#*@} ;; esac
cookie=$(word_after -setcookie)
exec iex "$kind" "console-$$@$host" ${cookie:+--cookie "$cookie"} --remsh "${name%%@*}@$host"
