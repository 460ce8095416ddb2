# shellcheck shell=sh
# Run by sh on a server: becomes the command "$@" in the folder $1, with the packages that it needs installed.
# Each bash that these are known to would read .bashrc again, and what that writes would be taken for the output of a
# command.
unset SSH_CLIENT SSH2_CLIENT
cd -- "$1" || exit 69
shift
if ! [ -e node_modules/tsx ]; then
  echo 'first use: installing the packages that package-lock.json names …' >&2
  npm ci --omit=dev --no-audit --no-fund >&2 || {
    echo "error: npm ci failed in $PWD on this server" >&2
    exit 1
  }
fi
exec "$@"
