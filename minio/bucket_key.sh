#!/bin/sh
# Makes BUCKET_KEY with BUCKET_SECRET a key to the objects of BUCKET_NAME and to nothing else. Run in minio's container,
# by start.sh and by setup.ts --upgrade; run again it takes up a new secret.
set -eu

: "${BUCKET_NAME:?}" "${BUCKET_KEY:?}" "${BUCKET_SECRET:?}" "${MINIO_ROOT_USER:?}" "${MINIO_ROOT_PASSWORD:?}"
# Without an administrator of its own the key is that one, as it was before there were two.
if [ "$BUCKET_KEY" = "$MINIO_ROOT_USER" ]; then exit 0; fi

export MC_HOST_local="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@127.0.0.1:9000"
MC_CONFIG_DIR=$(mktemp -d)
export MC_CONFIG_DIR
trap 'rm -rf "$MC_CONFIG_DIR"' EXIT
name=$BUCKET_NAME-objects policy=$MC_CONFIG_DIR/policy.json

cat >"$policy" <<END
{ "Version": "2012-10-17", "Statement": [
  { "Effect": "Allow", "Resource": ["arn:aws:s3:::$BUCKET_NAME"],
    "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"] },
  { "Effect": "Allow", "Resource": ["arn:aws:s3:::$BUCKET_NAME/*"],
    "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject",
      "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"] }
] }
END

# The secret by the standard input: arguments can be seen by others.
printf '%s\n' "$BUCKET_SECRET" | mc --quiet admin user add local "$BUCKET_KEY" >/dev/null
mc --quiet admin policy create local "$name" "$policy" >/dev/null
# It refuses what is so already.
said=$(mc --quiet admin policy attach local "$name" --user "$BUCKET_KEY" 2>&1) ||
  mc --json admin user info local "$BUCKET_KEY" | grep -q "\"$name\"" || {
  echo "error: the key $BUCKET_KEY got no right to the bucket $BUCKET_NAME: $said" >&2
  exit 1
}
