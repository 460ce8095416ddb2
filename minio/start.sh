#!/bin/sh
# Starts the S3 server, then makes the bucket and the key to it: whoever knows the full name of an object may fetch it,
# nobody without a key may list or write. The container counts as healthy once that is done, and ends when it cannot be
# done.
set -eu
# Process 1 of a container gets no signal that it does not ask for.
trap 'exit 143' TERM INT

: "${BUCKET_NAME:?}" "${MINIO_ROOT_USER:?}" "${MINIO_ROOT_PASSWORD:?}"
case $BUCKET_NAME in
  *[!a-z0-9.-]* | .* | -*)
    echo "error: BUCKET_NAME may hold only lower-case letters, digits, dots and dashes: $BUCKET_NAME" >&2
    exit 78
    ;;
esac

# mc takes its key from a variable of the form http://USER:PASSWORD@HOST and decodes nothing in it.
case $MINIO_ROOT_USER$MINIO_ROOT_PASSWORD in
  *:*)
    echo 'error: the key of the administrator (MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or AWS_…) must not hold a colon' >&2
    exit 78
    ;;
esac

ready=/tmp/bucket-ready
rm -f "$ready"

minio server /data --address :9000 &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true' TERM INT

export MC_HOST_local="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000"
MC_CONFIG_DIR=$(mktemp -d)
export MC_CONFIG_DIR

fail() {
  echo "error: the bucket $BUCKET_NAME could not be set up" >&2
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || true
  exit 1
}

# A signed request, so it succeeds only once the server takes writes with this key.
set_up() {
  mc --quiet mb --ignore-existing "local/$BUCKET_NAME" &&
    mc --quiet anonymous set-json "$MC_CONFIG_DIR/policy.json" "local/$BUCKET_NAME" &&
    sh "$(dirname "$0")/bucket_key.sh"
}

printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],' \
  >"$MC_CONFIG_DIR/policy.json"
printf '"Resource":["arn:aws:s3:::%s/*"]}]}\n' "$BUCKET_NAME" >>"$MC_CONFIG_DIR/policy.json"

tries=0
until curl -fs -m 2 -o /dev/null http://127.0.0.1:9000/minio/health/cluster; do
  tries=$((tries + 1))
  if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
    fail
  fi
  sleep 0.1
done
set_up || fail
touch "$ready"

# A signal interrupts wait, so it is asked again until the server has really ended.
status=0
wait "$server" || status=$?
while kill -0 "$server" 2>/dev/null; do
  status=0
  wait "$server" || status=$?
done
exit "$status"
