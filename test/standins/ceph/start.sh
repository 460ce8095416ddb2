#!/bin/bash
# Serves S3 on port 9000 for the key S3_KEY with S3_SECRET; /ready is there when it does.
set -euo pipefail

id=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
admin=/etc/ceph/ceph.client.admin.keyring
mkdir -p /etc/ceph /data/mon /data/osd /run/ceph
cat >/etc/ceph/ceph.conf <<END
[global]
fsid = $id
mon host = v2:127.0.0.1:3300
public addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
mon allow pool size one = true
rgw frontends = beast port=9000
rgw run sync thread = false
log to file = false
[mon.a]
mon data = /data/mon
[osd.0]
osd data = /data/osd
END

monmaptool --create --addv a '[v2:127.0.0.1:3300]' --fsid "$id" /tmp/monmap
ceph-authtool --create-keyring /tmp/keyring --gen-key -n mon. --cap mon 'allow *'
ceph-authtool --create-keyring "$admin" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
ceph-authtool /tmp/keyring --import-keyring "$admin"
ceph-mon --mkfs -i a --monmap /tmp/monmap --keyring /tmp/keyring
ceph-mon -i a
ceph osd new "$osd"
ceph-osd -i 0 --mkfs --mkkey --no-mon-config --osd-uuid "$osd"
ceph auth add osd.0 osd 'allow *' mon 'allow profile osd' -i /data/osd/keyring
ceph osd crush add osd.0 1.0 root=default host=here
ceph-osd -i 0
until ceph osd stat | grep -q '1 up'; do sleep 0.2; done
radosgw-admin user create --uid=avril --display-name=avril --access-key="$S3_KEY" --secret-key="$S3_SECRET"
radosgw -n client.admin --keyring "$admin" --rgw-zone=default
until curl -fsS -o /dev/null http://127.0.0.1:9000; do sleep 0.2; done
touch /ready
exec sleep infinity
