#!/bin/sh
# The first program of a container that plays a server: makes writable what an engine of its own needs, and serves the
# images that are in the archive as a registry would.
set -eu
for folder in /sys /sys/fs/cgroup /sys/fs/cgroup/*/; do
  mount -o remount,bind,rw "$folder" 2>/dev/null || true
done
# With one hierarchy for all, a group that has processes cannot have groups below it.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || true
  sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi
exec node /srv/setup/registry.mjs /srv/images.tar 5000
