"""python-etcd3 against the server that the arguments name: host, port, and a folder to write to."""

import sys
import threading

import etcd3

host, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = etcd3.client(host=host, port=port, timeout=20)

# Keys.
client.put("p/a", "1")
client.put("p/b", "2", prev_kv=True)
value, meta = client.get("p/a")
assert (value, meta.key, meta.version) == (b"1", b"p/a", 1), (value, meta)
assert client.get("p/none") == (None, None)
assert [value for value, _ in client.get_prefix("p/")] == [b"1", b"2"]
down = client.get_prefix("p/", sort_order="descend", sort_target="key")
assert [meta.key for _, meta in down] == [b"p/b", b"p/a"]
assert [meta.key for _, meta in client.get_range("p/a", "p/b")] == [b"p/a"]
assert [value for value, _ in client.get_prefix("p/", keys_only=True)] == [b"", b""]
assert client.put_if_not_exists("p/c", "3") and not client.put_if_not_exists("p/c", "4")
assert client.replace("p/c", "3", "5") and not client.replace("p/c", "3", "6")
assert client.delete("p/c") and not client.delete("p/c")
assert client.delete_prefix("p/").deleted == 2

# Transactions.
then = [client.transactions.put("t/a", "1"), client.transactions.get("t/a")]
otherwise = [client.transactions.delete("t/a")]
done, answers = client.transaction([client.transactions.version("t/a") == 0], then, otherwise)
assert done and answers[1][0][0] == b"1", answers
compare = [client.transactions.value("t/a") == "2", client.transactions.mod("t/a") > 0]
done, _ = client.transaction(compare, then, otherwise)
assert not done and client.get("t/a")[0] is None
nested = client.transactions.txn([], [client.transactions.put("t/b", "1")], [])
assert client.transaction([], [nested], [])[0] and client.get("t/b")[0] == b"1"

# Watches: live, with a callback, from the past.
events, cancel = client.watch_prefix("w/")
client.put("w/a", "1")
client.delete("w/a")
put, delete = next(events), next(events)
assert isinstance(put, etcd3.events.PutEvent) and (put.key, put.value) == (b"w/a", b"1")
assert isinstance(delete, etcd3.events.DeleteEvent) and delete.key == b"w/a"
cancel()
assert list(events) == []
called = threading.Event()
watch_id = client.add_watch_callback("w/b", lambda answer: called.set())
client.put("w/b", "1")
assert called.wait(20)
client.cancel_watch(watch_id)
past, cancel = client.watch("w/a", start_revision=put.mod_revision)
assert next(past).value == b"1"
cancel()
client.put("w/c", "1")
client.compact(client.get("w/c")[1].mod_revision)
try:
    next(client.watch("w/a", start_revision=1)[0])
    raise AssertionError("what was compacted cannot be watched")
except etcd3.exceptions.RevisionCompactedError as error:
    assert error.compacted_revision > 1
try:
    client.compact(1)
    raise AssertionError("what was compacted is not compacted again")
except Exception as error:
    assert "compacted" in str(error), error

# Leases and locks.
lease = client.lease(60)
client.put("l/a", "1", lease)
assert lease.granted_ttl == 60 and 0 < lease.remaining_ttl <= 60 and lease.keys == [b"l/a"]
assert next(iter(lease.refresh())).TTL == 60
lease.revoke()
assert client.get("l/a")[0] is None
with client.lock("one", ttl=20) as lock:
    assert lock.is_acquired()
    assert not client.lock("one", ttl=20).acquire(timeout=0.2)
assert not lock.is_acquired()

# The server.
member = next(iter(client.members))
assert member.name and member.client_urls
status = client.status()
assert status.version.startswith("3.") and status.leader.id == member.id
assert isinstance(client.hash(), int)
client.defragment()
assert list(client.list_alarms()) == []
assert [alarm.alarm_type for alarm in client.create_alarm()] == [1]
try:
    client.put("full", "1")
    raise AssertionError("with the alarm nothing is put")
except Exception as error:
    assert "space" in str(error), error
client.disarm_alarm()
client.put("full", "1")
with open(f"{folder}/python.db", "wb") as file:
    client.snapshot(file)
print("all done")
