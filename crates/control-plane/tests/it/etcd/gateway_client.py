"""etcd3gw, a client of the JSON gateway, against the server that the arguments name: host, port."""

import sys

from etcd3gw.client import Etcd3Client
from etcd3gw.exceptions import Etcd3Exception

client = Etcd3Client(host=sys.argv[1], port=int(sys.argv[2]), timeout=20)

# Keys.
assert client.put("g/a", "1") and client.put("g/b", b"\x00\xff")
assert client.get("g/a") == [b"1"] and client.get("g/none") == []
assert [value for value, _ in client.get_prefix("g/")] == [b"1", b"\x00\xff"]
down = client.get("g/", metadata=True, range_end="g0", sort_order="descend", sort_target="key")
assert [meta["key"] for _, meta in down] == [b"g/b", b"g/a"], down
assert client.create("g/c", "1") and not client.create("g/c", "2")
assert client.replace("g/c", "1", "3") and not client.replace("g/c", "1", "4")
assert client.delete("g/c") and not client.delete("g/c")
assert client.delete_prefix("g/") and client.get_prefix("g/") == []

# Leases and locks.
lease = client.lease(ttl=60)
client.put("l/a", "1", lease=lease)
assert lease.keys() == [b"l/a"] and 0 < lease.ttl() <= 60 and lease.refresh() == 60
assert lease.revoke() and client.get("l/a") == []
with client.lock("one", ttl=30) as lock:
    assert lock.is_acquired() and not client.lock("one", ttl=30).acquire()
assert not lock.is_acquired()

# Watches: live and from the past.
events, cancel = client.watch_prefix("w/")
client.put("w/a", "live")
event = next(events)
assert (event["kv"]["key"], event["kv"]["value"]) == (b"w/a", b"live"), event
cancel()
revision = int(event["kv"]["mod_revision"])
client.delete("w/a")
events, cancel = client.watch("w/a", start_revision=revision)
assert next(events)["kv"]["value"] == b"live" and next(events)["type"] == "DELETE"
cancel()

# Who serves.
assert client.status()["version"].startswith("3.") and len(client.members()) == 1
try:
    client.get("a", revision=10**9)
    raise AssertionError("the future was read")
except Etcd3Exception as error:
    assert "future revision" in error.detail_text, error.detail_text
print("all done")
