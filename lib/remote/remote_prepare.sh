# shellcheck shell=sh
# Run by sh on a new machine, with a bundle of these scripts' repository as its standard input: installs what they need
# to run, and puts them into the folder $1, with the remote $2 (empty: none). What is there already stays as it is.
set -eu
# All that it says is shown as it comes.
exec 2>&1
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
folder=$1 origin=$2

fail() { printf 'error: %s\nhint: %s\n' "$2" "$3" >&2; exit "$1"; }

[ "$(id -u)" = 0 ] || fail 69 'only root can make this machine a server' 'name root: --on root@host'
# What a call that was cut has left of a checkout is none.
is_whole() { [ -f "$1/scripts/setup.ts" ] && [ ! -e "$1/.git/unfinished" ]; }
if is_whole "$folder"; then
  cat >/dev/null
  has_scripts=yes
fi

missing=
for program in git node npm; do command -v "$program" >/dev/null || missing="$missing $program"; done
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null ||
    fail 69 "this machine has no$missing, and is neither Debian nor Ubuntu" \
      'install git, Node 20.19 or later and npm there, then run this again'
  packages=$(printf '%s\n' "$missing" | sed 's/\bnode\b/nodejs/')
  printf 'installing%s …\n' "$missing" >&2
  log=$(mktemp)
  # What sleeps must not hold the connection.
  (while sleep 15 >/dev/null 2>&1; do echo 'still installing' >&2; done) &
  pulse=$!
  trap 'kill "$pulse" 2>/dev/null' EXIT
  # shellcheck disable=SC2086 # several words
  if ! {
    apt-get -o DPkg::Lock::Timeout=600 update &&
      apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $packages ca-certificates
  } >"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    fail 69 "$packages could not be installed" \
      'is there a network, and do the sources of apt answer (apt-get update)? Then run this again'
  fi
  rm -f "$log"
  kill "$pulse"
fi
[ -z "${has_scripts:-}" ] || exit 0

# Given its name when it is complete: node_modules may be there already.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/bundle"
mkdir -p "$folder"
cd "$folder"
exec 9<.
flock 9
# Somebody else may have been at it.
if is_whole .; then exit 0; fi
branch=$(git bundle list-heads "$work/bundle" | sed -n 's,.* refs/heads/,,p' | head -n 1)
git -c init.defaultBranch="${branch:-main}" init --quiet
: >.git/unfinished
find .git -name '*.lock' -delete
git fetch --quiet "$work/bundle" HEAD
git reset --quiet --hard FETCH_HEAD
rm .git/unfinished
[ -z "$origin" ] || git remote add origin "$origin" 2>/dev/null || git remote set-url origin "$origin"
