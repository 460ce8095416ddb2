#!/usr/bin/env bash
# former_nginx.sh FOLDER: makes a copy of nginx/ switch as it did until 0.3: by lines of a map (live/<service>.map), and
# a reload.
set -euo pipefail

cat >"$1/live.conf" <<'CONF'
map "$app $request_id" $instance {
  default $app:$port;
  include /etc/nginx/avril/live/*.map;
}
map "" $other_instance { default $app:$port; }
map "" $ended { default 1; }
CONF
sed -i '/# See live.js/d; /location .nginx.live/,/^    }/d; /location .nginx.drained/,/^    }/d' "$1/nginx.conf"
sed -i '/drain_seconds/d; /taken_up/d' "$1/start/10-settings.sh"
for file in "$1/live/"*.json; do
  [ -e "$file" ] || continue
  service=$(basename "$file" .json)
  address=$(node -p 'JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8")).upstreams[0].address' "$file")
  printf '# Generated\n"~^%s [0123456789abcdef]" %s;\n' "$service" "$address" >"$1/live/$service.map"
  rm "$file"
done
