"""Every call of a Consul client about keys, sessions, events and transactions, against HOST PORT NODE.

Runs with python-consul 1.1.0 and with py-consul 1.8.0, whose calls are the same here.
"""

import base64
import sys
import threading
import time

import consul

HOST, PORT, NODE = sys.argv[1:]
c = consul.Consul(host=HOST, port=int(PORT))


def refused(call):
    try:
        call()
    except consul.ConsulException as error:
        return str(error)
    raise AssertionError("was not refused")


# Keys and values.
index, found = c.kv.get("k")
assert found is None and int(index) > 0
assert c.kv.put("k", "one", flags=42) is True
index, found = c.kv.get("k")
assert (found["Value"], found["Flags"], found["Key"]) == (b"one", 42, "k"), found
assert found["LockIndex"] == 0 and found["CreateIndex"] == found["ModifyIndex"]
assert c.kv.put("empty", "") is True and c.kv.get("empty")[1]["Value"] is None
raw = bytes(range(256))
assert c.kv.put("raw", raw) is True and c.kv.get("raw")[1]["Value"] == raw
assert c.kv.put("größe/ä b", "x") is True and c.kv.get("größe/ä b")[1]["Value"] == b"x"
refused(lambda: c.kv.put("big", "x" * (512 * 1024 + 1)))
assert c.kv.put("big", "x" * (512 * 1024)) is True

# Compare and set.
modified = c.kv.get("k")[1]["ModifyIndex"]
assert c.kv.put("k", "two", cas=modified - 1) is False
assert c.kv.put("k", "two", cas=modified) is True
assert c.kv.put("new", "x", cas=0) is True and c.kv.put("new", "y", cas=0) is False
assert c.kv.delete("k", cas=1) is False
assert c.kv.delete("k", cas=c.kv.get("k")[1]["ModifyIndex"]) is True
assert c.kv.get("k")[1] is None

# Many at once.
for key in ["tree/a", "tree/b/c", "tree/b/d", "trex"]:
    assert c.kv.put(key, key) is True
assert [x["Key"] for x in c.kv.get("tree/", recurse=True)[1]] == ["tree/a", "tree/b/c", "tree/b/d"]
assert c.kv.get("tre", keys=True, separator="/")[1] == ["tree/", "trex"]
assert c.kv.get("tree/", keys=True)[1] == ["tree/a", "tree/b/c", "tree/b/d"]
assert c.kv.delete("tree/b/", recurse=True) is True
assert [x["Key"] for x in c.kv.get("tree/", recurse=True)[1]] == ["tree/a"]
assert c.kv.get("nothing/", recurse=True)[1] is None
refused(lambda: c.kv.get("tree/a", dc="dc9"))

# Waiting for a change, and not for another key's.
index, _ = c.kv.get("waited")
threading.Timer(0.2, lambda: c.kv.put("waited", "now")).start()
later, found = c.kv.get("waited", index=index, wait="20s")
assert found["Value"] == b"now" and int(later) > int(index)
threading.Timer(0.1, lambda: consul.Consul(host=HOST, port=int(PORT)).kv.put("other", "x")).start()
start = time.monotonic()
assert c.kv.get("waited", index=later, wait="500ms")[0] == later
assert time.monotonic() - start >= 0.5
c.kv.delete("waited")
assert int(c.kv.get("waited")[0]) >= int(later)

# Sessions and locks.
assert c.session.list()[1] == []
session = c.session.create("worker", lock_delay=0, ttl=10)
info = c.session.info(session)[1]
assert (info["Name"], info["Node"], info["TTL"], info["Behavior"]) == ("worker", NODE, "10s", "release"), info
assert [x["ID"] for x in c.session.list()[1]] == [session]
assert [x["ID"] for x in c.session.node(NODE)[1]] == [session]
assert c.kv.put("lock", "mine", acquire=session) is True
assert c.kv.put("lock", "again", acquire=session) is True
found = c.kv.get("lock")[1]
assert (found["Session"], found["LockIndex"]) == (session, 1), found
rival = c.session.create("rival", lock_delay=0)
assert c.kv.put("lock", "theirs", acquire=rival) is False
assert c.kv.put("lock", "theirs", release=rival) is False
assert c.session.renew(session)["ID"] == session
assert c.kv.put("lock", "free", release=session) is True
assert "Session" not in c.kv.get("lock")[1]
assert c.kv.put("lock", "theirs", acquire=rival) is True and c.kv.get("lock")[1]["LockIndex"] == 2
assert c.session.destroy(rival) is True
assert "Session" not in c.kv.get("lock")[1]
goner = c.session.create(behavior="delete", lock_delay=0)
assert c.kv.put("going", "x", acquire=goner) is True
assert c.session.destroy(goner) is True and c.kv.get("going")[1] is None
assert c.session.destroy(session) is True and c.session.list()[1] == []
assert c.session.info(session)[1] is None
try:
    c.session.renew(session)
    raise AssertionError("a session that is gone was renewed")
except consul.NotFound:
    pass
refused(lambda: c.kv.put("lock", "x", acquire="no-such-session"))
held = c.session.create(lock_delay=15)
assert c.kv.put("delayed", "x", acquire=held) is True and c.session.destroy(held) is True
next_one = c.session.create()
assert c.kv.put("delayed", "x", acquire=next_one) is False, "the lock delay has begun"
assert c.session.destroy(next_one) is True

# Events.
fired = c.event.fire("deploy", "v2")
assert fired["Name"] == "deploy" and fired["ID"], fired
deadline = time.monotonic() + 10
while not (listed := c.event.list("deploy")[1]) and time.monotonic() < deadline:
    time.sleep(0.05)
assert [(x["ID"], x["Payload"]) for x in listed] == [(fired["ID"], b"v2")], listed
assert int(c.event.list("deploy")[0]) > 0
assert c.event.list("something else")[1] in (None, [])

# Transactions.
def encoded(text):
    return base64.b64encode(text.encode()).decode()


done = c.txn.put([
    {"KV": {"Verb": "set", "Key": "t1", "Value": encoded("a")}},
    {"KV": {"Verb": "set", "Key": "t2", "Value": encoded("b"), "Flags": 7}},
    {"KV": {"Verb": "get", "Key": "t2"}},
])
assert done["Errors"] is None, done
assert [x["KV"]["Key"] for x in done["Results"]] == ["t1", "t2", "t2"]
assert done["Results"][2]["KV"]["Flags"] == 7
refused(lambda: c.txn.put([
    {"KV": {"Verb": "set", "Key": "t1", "Value": encoded("lost")}},
    {"KV": {"Verb": "cas", "Key": "t2", "Value": encoded("lost"), "Index": 1}},
]))
assert c.kv.get("t1")[1]["Value"] == b"a", "nothing of it was done"

assert c.kv.delete("", recurse=True) is True
assert c.kv.get("", keys=True)[1] in (None, [])
print("all as expected")
