#!/bin/sh
# The contract of the official image: before nginx starts, the scripts of /docker-entrypoint.d run in order of their
# names. One that cannot be executed is passed over, one that fails ends the container.
set -e

if [ "$1" = nginx ]; then
  for script in /docker-entrypoint.d/*; do
    case $script in
      *.envsh | *.sh) ;;
      *) continue ;;
    esac
    if [ ! -x "$script" ]; then
      echo "$0: ignoring $script, it is not executable" >&2
    elif [ "${script%.envsh}" != "$script" ]; then
      # shellcheck source=/dev/null
      . "$script"
    else
      "$script"
    fi
  done
fi

exec "$@"
