#!/bin/sh
# Run in the container: has nginx serve the certificate and the key that lie in /ssl, without a reload. Prints "tls",
# "plain" or "closed", and which file or why. With --at-start nginx has yet to read its configuration. 78: what lies
# there cannot be used; a pair that is served already goes on.
#   docker compose exec -T nginx /etc/nginx/avril/certificate.sh
#
# The workers read the pair themselves (certificate.conf), and neither a start nor `nginx -t` looks at it. So a copy is
# made that they may read and not write; nginx judges that copy, and one rename of a link changes the certificate and
# its key together.
set -eu

certificates=/ssl
run=/run/avril

# What setup.ts --certificate has got, certbot's names, the plain ones, and those of the former configuration.
pairs() {
  printf '%s\n' "issued/fullchain.pem issued/privkey.pem" "fullchain.pem privkey.pem" "$WHOST.crt $WHOST.key" \
    "$WHOST.crt entrust-$WHOST-key.pem"
}

# Prints "certificate key", or nothing.
find_pair() {
  pairs | while read -r certificate key; do
    if [ -e "$certificates/$certificate" ] && [ -e "$certificates/$key" ]; then
      printf '%s %s\n' "$certificates/$certificate" "$certificates/$key"
      break
    fi
  done
}

# Prints why nginx does not take the copy in a folder, in the names of what was copied; or nothing. nginx itself is the
# judge, in a configuration of its own, because only its answer counts and the image need not have openssl.
find_fault() { # folder, certificate, key
  cat >"$run/trial.conf" <<EOF
pid $run/trial.pid;
events {}
http {
  server {
    listen 127.0.0.1:8082 ssl;
    ssl_certificate $1/certificate.pem;
    ssl_certificate_key $1/key.pem;
  }
}
EOF
  if said=$(nginx -t -c "$run/trial.conf" 2>&1); then return; else code=$?; fi
  # It may have been killed before it said anything.
  { printf '%s\n' "$said" |
    sed -n "s|$1/certificate.pem|$2|g; s|$1/key.pem|$3|g; s/^.*\[emerg\] *\([0-9]*#[0-9]*: \)\{0,1\}//p" | grep . \
    || echo "nginx -t ended with $code"; } | head -n 1
}

is_served() { # certificate, key
  cmp -s "$1" "$run/pair/certificate.pem" && cmp -s "$2" "$run/pair/key.pem"
}

# Prints why the pair cannot be used, or nothing when it is served from now on.
serve() { # certificate, key
  ! is_served "$1" "$2" || return 0
  copy=$(mktemp -d "$run/pair.XXXXXX")
  # A copy that is cut short could pass for a whole one.
  if fault=$(umask 077 && { cat "$1" >"$copy/certificate.pem" && cat "$2" >"$copy/key.pem"; } 2>&1); then
    fault=$(find_fault "$copy" "$1" "$2")
  fi
  if [ -n "$fault" ]; then
    rm -r "$copy"
    printf '%s\n' "$fault"
    return
  fi
  # Its workers are of this group: they read the key, and cannot change it.
  chmod 640 "$copy/certificate.pem" "$copy/key.pem"
  chmod 750 "$copy"
  chgrp -R nginx "$copy"
  former=$(readlink "$run/pair" || true)
  ln -sfn "${copy##*/}" "$run/pair.new"
  mv -T "$run/pair.new" "$run/pair"
  # A worker may be on its way into the former one.
  find "$run" -maxdepth 1 -type d -name 'pair.??????' ! -name "${copy##*/}" ! -name "${former:-none}" -exec rm -r {} +
}

# Not for its workers to open: they could hold it for ever.
exec 9>"$run/pair.lock"
chmod 600 "$run/pair.lock"
flock -w 60 9

if [ "$WHOST" = localhost ]; then
  echo "plain WHOST is localhost"
elif [ -z "$(ls -A "$certificates" 2>/dev/null)" ]; then
  echo "plain there is no certificate for $WHOST"
else
  pair=$(find_pair)
  if [ -n "$pair" ]; then
    refusal=$(serve "${pair% *}" "${pair#* }")
  else
    # A link of certbot's live/ leads to archive/, which is not in the container: it counts as absent.
    names=$(pairs | sed 's/ / + /' | paste -sd '|' | sed 's/|/, /g')
    refusal="none of these pairs is in the folder of certificates, or they are links that lead out of it: $names"
  fi
  if [ -z "$refusal" ]; then
    echo "tls ${pair% *}"
    # It serves no https, or was started by a former version of these files.
    if [ "${1:-}" != --at-start ] && ! grep -qs served_pair "$run/mode.conf"; then
      echo 'avril: nginx does not serve it yet: run /docker-entrypoint.d/10-settings.sh, then /etc/nginx/avril/reload.sh, once' >&2
    fi
  elif [ -e "$run/pair" ]; then
    echo "tls as before, because what lies there now cannot be used: $refusal"
    exit 78
  else
    echo "closed $refusal"
    exit 78
  fi
fi
