#!/usr/bin/env bash
# stack.sh FOLDER: makes a whole playground in FOLDER: a copy of this checkout with a .env of its own, and the
# repositories of the fixture apps beside it. STACK_NAME is the Compose project, STACK_PORT the port of the site. Starts
# nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/.." && pwd)
folder=${1:?usage: STACK_NAME=name STACK_PORT=port stack.sh FOLDER}
copy=$folder/avril-scripts
: "${STACK_NAME:?the name of the Compose project}" "${STACK_PORT:?the port of the site}"

if [ -e "$copy" ]; then
  printf 'error: %s is there already\n' "$copy" >&2
  exit 1
fi
mkdir -p "$copy"

# What git knows or would add, less what was deleted and not committed yet.
git -C "$checkout" ls-files -z --cached --others --exclude-standard --deduplicate |
  while IFS= read -r -d '' file; do
    if [ -e "$checkout/$file" ] || [ -L "$checkout/$file" ]; then printf '%s\0' "$file"; fi
  done | tar -C "$checkout" --null --files-from - -cf - | tar -C "$copy" -xf -

ln -s "$checkout/node_modules" "$copy/node_modules"
"$here/fixtures/make.sh" "$folder"

# Certificates are looked for beside the copy, never among those of the machine; port 0 is any free one.
sed -e "s|^COMPOSE_PROJECT_NAME=.*|COMPOSE_PROJECT_NAME=$STACK_NAME|" -e "s|^NGINX_PORT=.*|NGINX_PORT=$STACK_PORT|" \
  -e 's|^NGINX_TLS_PORT=.*|NGINX_TLS_PORT=0|' -e 's|^SSL_DIR=.*|SSL_DIR=../ssl|' "$copy/.env.example" >"$copy/.env"
chmod 600 "$copy/.env"
