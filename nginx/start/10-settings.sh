#!/bin/sh
# Renders what nginx cannot read from the environment into /run/avril, and chooses one of the modes: plain, tls or
# closed. The image's entry point runs it; run by hand and followed by nginx/reload.sh it takes up a certificate that
# came later.
set -eu

: "${WHOST:=localhost}" "${WHOST_ALIASES:=}" "${NGINX_PORT:=80}" "${BUCKET_NAME:=avril}" "${DRAIN_SECONDS:=30}" \
  "${POST_RATE:=1}"
# Empty means: none is sent.
: "${CONTENT_SECURITY_POLICY=}" "${REFERRER_POLICY=strict-origin-when-cross-origin}" "${FRAME_OPTIONS=SAMEORIGIN}"
: "${SWARM_ROLE:=}" "${SWARM_NODE:=}"
: "${NGINX_LOG_DIR:=}" "${FORWARDED_FROM:=}" "${HTTP3:=}" "${NGINX_BIND:=}" "${NGINX_TLS_PORT:=443}"
config=/etc/nginx/avril
run=/run/avril
logs=/var/log/avril

# Of an nginx that was killed it is left, and nothing could listen there again. One that runs (this is run by hand then)
# needs it.
[ "$(cat /proc/1/comm)" = nginx ] || rm -f "$run/follow.sock"

say() {
  printf 'avril: %s\n' "$*" >&2
}

if ! [ -e "${modules:=/usr/lib/nginx/modules}/ngx_http_js_module.so" ]; then
  say "this image of nginx lacks its module njs ($modules/ngx_http_js_module.so): take the image that docker-compose.yml names, not a slim variant"
  exit 78
fi

# Each value becomes a word of nginx's configuration, so nothing may pass that could end that word.
check() { # name, value, pattern of the whole value
  # grep would judge each line of it alone, and an empty one not at all.
  if ! printf '%s\n' "$(printf '%s.' "$2" | tr '\n' '\001')" | grep -Eqx "($3)\."; then
    say "$1 is '$2', which is not of the form $3"
    exit 78
  fi
}

name='[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?'
check WHOST "$WHOST" "$name"
check WHOST_ALIASES "$WHOST_ALIASES" "($name(,$name)*)?"
case ,$(printf '%s' "$WHOST_ALIASES" | tr '[:upper:]' '[:lower:]'), in
  *,localhost,* | *,"$(printf '%s' "$WHOST" | tr '[:upper:]' '[:lower:]')",*)
    say "WHOST_ALIASES is '$WHOST_ALIASES', which names the site itself or localhost"
    exit 78
    ;;
esac
check NGINX_PORT "$NGINX_PORT" '[0-9]{1,5}'
check BUCKET_NAME "$BUCKET_NAME" '[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]'
check DRAIN_SECONDS "$DRAIN_SECONDS" '[1-9][0-9]{0,3}'
check POST_RATE "$POST_RATE" '[1-9][0-9]{0,5}'
check SWARM_ROLE "$SWARM_ROLE" '(first|other)?'
check SWARM_NODE "$SWARM_NODE" '[A-Za-z0-9_.-]*'
check HTTP3 "$HTTP3" '(on|off)?'
check NGINX_TLS_PORT "$NGINX_TLS_PORT" '[0-9]{1,5}'
check FORWARDED_FROM "$FORWARDED_FROM" '[0-9a-fA-F.:]*'
check CONTENT_SECURITY_POLICY "$CONTENT_SECURITY_POLICY" "[A-Za-z0-9 ;:/.*'=?&%+_~@!()#,-]*"
check REFERRER_POLICY "$REFERRER_POLICY" '[a-z-]*'
check FRAME_OPTIONS "$FRAME_OPTIONS" '(SAMEORIGIN|DENY)?'

# Each listener for IPv6 too, unless the kernel has none of it.
both_kinds() {
  if [ -e /proc/net/if_inet6 ]; then sed 's/^\( *listen \)\([0-9].*\)/&\n\1[::]:\2/'; else cat; fi
}

# Prints why there is no HTTP/3, or nothing.
find_obstacle() {
  if ! nginx -V 2>&1 | grep -qe --with-http_v3_module; then
    echo 'this image of nginx is built without it'
  else
    case $NGINX_BIND in
      127.*) echo "NGINX_BIND is $NGINX_BIND: what stands in front of nginx there speaks to browsers itself" ;;
    esac
  fi
}

only_what_is_there() {
  if [ -n "$http3" ]; then cat; else sed '/^ *\(listen .* \)\?quic/d'; fi
}

umask 022
mkdir -p "$run"
# A pair that cannot be used is told below.
chosen=$(WHOST=$WHOST "$config/certificate.sh" --at-start) || [ $? = 78 ]
mode=${chosen%% *}

# How visitors reach the site. A public one has the standard ports, here or on a balancer before it; port 0 is any free
# one, which only the engine knows.
scheme=https host=$WHOST
[ "$mode" != plain ] || scheme=http
case $WHOST:$NGINX_PORT in
  localhost:80 | localhost:0) ;;
  localhost:*) host=$WHOST:$NGINX_PORT ;;
esac

# What browsers are told of HTTP/3: the port that it is published on, which is unknown where it is any free one.
http3='' told=''
# Browsers that were told of it go on trying for a day.
[ "$HTTP3" != off ] || told=clear
if [ "$mode" = tls ] && [ "$HTTP3" = on ]; then
  obstacle=$(find_obstacle)
  if [ -n "$obstacle" ]; then
    say "HTTP3 is on, and there is none: $obstacle"
  else
    http3=on
    [ -s "$run/quic.key" ] || (umask 077 && head -c 32 /dev/urandom >"$run/quic.key")
    [ "$NGINX_TLS_PORT" -eq 0 ] || told="h3=\":$NGINX_TLS_PORT\"; ma=86400"
  fi
fi

printf 'worker_shutdown_timeout %ss;\n' "$DRAIN_SECONDS" >"$run/main.conf"
# A name of a map, which nginx reads as a regular expression.
printf '%s' "$FORWARDED_FROM" | sed -n 's/\./\\./g; s/.*/"~ &$" "";/p' >"$run/forwarded.conf"
# Twenty are enough for an office behind one address. Whoever may send more has as many on the way as begin within a
# second.
bodies=$((POST_RATE < 20 ? 20 : POST_RATE > 1000 ? 1000 : POST_RATE))
# The burst is five seconds' worth, or a high rate could not be used: a hundred requests may come within one
# millisecond.
cat >"$run/http.conf" <<EOF
map "" \$bucket { default "$BUCKET_NAME"; }
map "" \$site { default "$WHOST"; }
map "" \$site_host { default "$host"; }
map "" \$site_scheme { default $scheme; }
map "" \$own_content_policy { default "$CONTENT_SECURITY_POLICY"; }
map "" \$own_referrer_policy { default "$REFERRER_POLICY"; }
map "" \$own_frame_options { default "$FRAME_OPTIONS"; }
map \$client \$own_http3 { default '$told'; "" ""; }
map "" \$mode { default $mode; }
map "" \$drain_seconds { default $DRAIN_SECONDS; }
limit_req_zone \$post_client zone=post:10m rate=${POST_RATE}r/s;
limit_req zone=post burst=$((POST_RATE * 5)) nodelay;
limit_conn bodies $bodies;
include $run/mode.conf;
EOF
only_what_is_there <"$config/modes/$mode.conf" | both_kinds >"$run/mode.conf"
echo 'listen 8080;' | both_kinds >"$run/inner.conf"
printf 'server_name %s;\n' "$WHOST" >"$run/name.conf"

# One of several nginx (../follow.js): the first says who is live, the others ask it. Without a Swarm there is none of
# this.
swarm=$run/swarm
rm -rf "$swarm"
if [ -n "$SWARM_ROLE" ]; then
  mkdir -p "$swarm"
  follows=
  [ "$SWARM_ROLE" = first ] || follows=first.avril-nginx:8082
  cat >"$swarm/http.conf" <<EOF
js_import follow from $config/follow.js;
# The page of maintenance.ts has room in it, twice while that changes: what does not fit would cut this nginx off.
js_shared_dict_zone zone=followed:1m;
js_fetch_timeout 1s;
map "" \$follows { default "$follows"; }
map "" \$swarm_node { default "$SWARM_NODE"; }
js_set \$is_behind follow.behind nocache;
js_set \$unwell follow.unwell nocache;
EOF
  # shellcheck disable=SC2016 # nginx's variables
  printf '%s\n' 'if ($unwell) { return 503 "$unwell\n"; }' >"$swarm/health.conf"
  # shellcheck disable=SC2016 # nginx's variables
  echo 'location = /nginx/unwell { access_log off; return 200 $unwell; }' >"$swarm/inner.conf"
  if [ -z "$follows" ]; then
    cat >>"$swarm/http.conf" <<EOF
server {
  listen 8082;
  access_log off;
  location = /told { js_content follow.told; }
  include $config/acme.conf;
  location / {
    root $config/assets;
    disable_symlinks on;
    gzip_static on;
    log_not_found off;
    add_header Cache-Control "public, max-age=31536000, immutable";
  }
}
EOF
  else
    echo "server { listen unix:$run/follow.sock; location / { js_periodic follow.follow interval=1s; } }" >>"$swarm/http.conf"
    echo 'location ~ ^/nginx/live/[a-z] { access_log off; js_content follow.state; }' >>"$swarm/inner.conf"
    # shellcheck disable=SC2016 # nginx's variables
    echo 'set $held $paused; if ($is_behind) { set $held 1; }' >"$swarm/hold.conf"
    # shellcheck disable=SC2016 # nginx's variables
    echo 'set $closed $closure;' >"$swarm/closed.conf"
    echo 'js_content follow.page;' >"$swarm/page.conf"
    # shellcheck disable=SC2016 # nginx's variables
    echo 'proxy_pass http://$follows;' >"$swarm/challenge.conf"
    # shellcheck disable=SC2016 # nginx's variables
    echo 'recursive_error_pages on; if (!-f $request_filename) { return 428; }' >"$swarm/kept.conf"
    cat >"$swarm/routes.conf" <<'EOF'
error_page 428 = @kept_by_the_first;
location @kept_by_the_first {
  proxy_set_header Host $host;
  proxy_set_header Accept-Encoding $http_accept_encoding;
  proxy_intercept_errors on;
  recursive_error_pages on;
  error_page 404 500 502 503 504 = @kept_by_the_app;
  proxy_pass http://$follows;
}
EOF
  fi
fi

# The other names of the site, which redirect to it; other names still get no handshake. On localhost there is nothing
# to redirect to.
listen='listen 80;' certificate=
[ "$mode" != tls ] || listen='listen 443 ssl;
  listen 443 quic;' certificate="http2 on; include $config/certificate.conf;"
if [ -z "$WHOST_ALIASES" ] || [ "$WHOST" = localhost ] || [ "$mode" = closed ]; then
  : >"$run/aliases.conf"
else
  only_what_is_there <<EOF | both_kinds >"$run/aliases.conf"
server {
  $listen
  server_name $(printf '%s' "$WHOST_ALIASES" | tr ',' ' ');
  $certificate
  include $config/redirect.conf;
}
EOF
fi

# A disk that cannot be written to must not keep the site from starting. They have the addresses of visitors: not for
# everybody to read.
if [ -n "$NGINX_LOG_DIR" ]; then
  if (umask 027 && true >>"$logs/access.log" && true >>"$logs/error.log") 2>/dev/null; then
    printf 'error_log %s/error.log notice;\n' "$logs" >>"$run/main.conf"
    printf 'access_log %s/access.log avril;\n' "$logs" >>"$run/http.conf"
  else
    say "NGINX_LOG_DIR ($NGINX_LOG_DIR) cannot be written to: there are no log files, only docker compose logs nginx"
  fi
fi

# Not when it is run by hand: nginx has not read it yet.
[ -s /run/nginx.pid ] || touch "$run/taken_up"
case $mode in
  closed) say "TLS is broken, so every visitor gets a page that says to come back later: ${chosen#* }" ;;
  *) say "mode $mode: ${chosen#* }" ;;
esac
