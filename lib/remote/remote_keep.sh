# shellcheck shell=sh
# Run by sh on a server, with the content of a file of $2 bytes as its standard input. $1 settings: puts it into the
# folder $3 as .env, for its owner alone, and never in the place of another one. $1 key: keeps it in memory, and tells
# where. $1 forget: removes the key at $2.
set -eu
umask 077
export LC_ALL=C

# The end of a line that is cut looks like the end of the content.
take() {
  cat >"$1"
  [ "$(wc -c <"$1")" -eq "$2" ] && return
  rm "$1"
  echo 'the line was cut' >&2
  exit 69
}

case $1 in
  settings)
    cd -- "$3"
    take .env.given "$2"
    sum=$(sha256sum <.env.given)
    if [ -e .env ] && ! cmp -s .env .env.given; then
      rm .env.given
      # It may have been this one, and setup.ts has corrected a line of it since.
      [ "$(cat .state/env.given 2>/dev/null)" = "$sum" ] || exit 78
    else
      mkdir -p .state
      printf '%s\n' "$sum" >.state/env.given
      mv .env.given .env
    fi
    ;;
  key)
    for place in /dev/shm /run; do
      case $(stat -f -c %T "$place" 2>/dev/null) in tmpfs | ramfs) break ;; esac
      place=
    done
    [ -n "$place" ] || exit 69
    rm -rf "$place"/avril-key.*
    folder=$(mktemp -d "$place/avril-key.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
    take "$folder/key.txt" "$2"
    trap - EXIT
    printf 'avril:key=%s\n' "$folder/key.txt"
    ;;
  forget) case $2 in /dev/shm/avril-key.*/key.txt | /run/avril-key.*/key.txt) rm -rf "${2%/key.txt}" ;; esac ;;
esac
