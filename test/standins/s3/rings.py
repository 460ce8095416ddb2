"""Writes the three rings of a Swift that has one disk: every partition lies on it."""
from array import array
from swift.common.ring import RingData

PORTS = {'object': 6200, 'container': 6201, 'account': 6202}

for kind, port in PORTS.items():
    disk = {'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'ip': '127.0.0.1', 'port': port, 'device': 'd1', 'meta': '',
            'replication_ip': '127.0.0.1', 'replication_port': port}
    RingData([array('H', [0] * 16)], [disk], 28).save(f'/etc/swift/{kind}.ring.gz')
