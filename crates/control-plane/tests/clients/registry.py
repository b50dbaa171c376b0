"""Every call of a Consul client about the registry, against the server HOST PORT NODE.

Runs with python-consul 1.1.0 and with py-consul 1.8.0, whose calls are the same here.
"""

import sys
import time

import consul

HOST, PORT, NODE = sys.argv[1:]
c = consul.Consul(host=HOST, port=int(PORT))
Check = consul.Check


def until(what, look):
    """Waits until `look` returns something true, at most 60 s: a real agent tells its catalog later."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within 60 s")


def passing(name):
    return [entry["Service"]["ID"] for entry in c.health.service(name, passing=True)[1]]


def refused(kind, call):
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError("was not refused")


# Who is there.
own = c.agent.self()
assert own["Config"]["NodeName"] == NODE and own["Member"]["Name"] == NODE, own["Config"]
assert [member["Name"] for member in c.agent.members()] == [NODE]
assert len(c.agent.members(wan=True)) == 1
assert c.status.leader() == own["Stats"]["consul"]["leader_addr"]
assert c.status.peers() == [c.status.leader()]
assert c.catalog.datacenters() == ["dc1"]
assert c.catalog.services()[1] == {"consul": []}
assert c.agent.services() == {}

# A service with a check of each kind.
assert c.agent.service.register("plain", address="10.0.0.1", port=80, tags=["a", "b"]) is True
assert c.agent.service.register("ttl", service_id="ttl-1", check=Check.ttl("1h")) is True
tcp = Check.tcp(HOST, int(PORT), "10s", "30s", "10m")
assert c.agent.service.register("tcp", service_id="tcp#1", check=tcp) is True
http = Check.http(f"http://{HOST}:{PORT}/v1/status/leader", "10s", timeout="5s", header={"X-A": ["b"]})
assert c.agent.service.register("http", check=http) is True
assert set(c.agent.services()) == {"plain", "ttl-1", "tcp#1", "http"}
assert c.agent.services()["plain"]["Tags"] == ["a", "b"]
until("tcp passes", lambda: passing("tcp") == ["tcp#1"])
until("http passes", lambda: passing("http") == ["http"])
until("plain is listed", lambda: passing("plain") == ["plain"])
assert passing("ttl") == []

# What a service says of itself.
assert c.agent.check.ttl_pass("service:ttl-1", "fine") is True
until("ttl passes", lambda: passing("ttl") == ["ttl-1"])
assert c.agent.checks()["service:ttl-1"]["Output"] == "fine"
assert c.agent.check.ttl_warn("service:ttl-1") is True
until("ttl warns", lambda: [x["CheckID"] for x in c.health.state("warning")[1]] == ["service:ttl-1"])
assert c.agent.check.ttl_fail("service:ttl-1") is True
until("ttl fails", lambda: "service:ttl-1" in [x["CheckID"] for x in c.health.state("critical")[1]])
refused(consul.ConsulException, lambda: c.agent.check.ttl_pass("no such check"))

# Checks of their own.
assert c.agent.check.register("extra", check=Check.ttl("1h"), service_id="plain") is True
until("extra is listed", lambda: [x["CheckID"] for x in c.health.checks("plain")[1]] == ["extra"])
assert passing("plain") == []
assert c.agent.check.deregister("extra") is True
until("extra is gone", lambda: passing("plain") == ["plain"])

# Maintenance.
assert c.agent.service.maintenance("plain", "true", "because") is True
until("plain is out", lambda: passing("plain") == [])
assert c.agent.checks()["_service_maintenance:plain"]["Notes"] == "because"
assert c.agent.service.maintenance("plain", "false") is True
assert c.agent.maintenance("true", "all") is True
until("the node is out", lambda: passing("http") == [])
assert c.agent.maintenance("false") is True
until("all is back", lambda: passing("http") == ["http"] and passing("plain") == ["plain"])

# The same in the catalog.
index, services = c.catalog.services()
assert int(index) > 0 and sorted(services["plain"]) == ["a", "b"]
assert [x["ServiceID"] for x in c.catalog.service("plain", tag="a")[1]] == ["plain"]
assert c.catalog.service("plain", tag="z")[1] == []
assert c.catalog.nodes()[1][0]["Node"] == NODE
assert "plain" in c.catalog.node(NODE)[1]["Services"]
assert c.catalog.node("no such node")[1] is None
assert c.health.node(NODE)[1][0]["CheckID"]
assert any(x["CheckID"] == "serfHealth" for x in c.health.state("any")[1])

# A node of others.
external = {"service": "db", "id": "db-1", "port": 5432, "tags": ["primary"]}
assert c.catalog.register("ext", "10.9.9.9", service=external) is True
assert passing("db") == ["db-1"]
assert c.health.service("db", near="_agent")[1][0]["Node"]["Node"] == "ext"
assert c.catalog.deregister("ext", service_id="db-1") is True
assert c.catalog.deregister("ext") is True
assert c.catalog.service("db")[1] == []
refused(consul.ConsulException, lambda: c.catalog.register("ext", "10.9.9.9", dc="dc9"))

# Waiting for a change.
index = c.catalog.services()[0]
start = time.monotonic()
assert c.catalog.services(index=index, wait="200ms")[0] == index
assert time.monotonic() - start >= 0.2
assert c.agent.service.deregister("tcp#1") is True
later, services = c.catalog.services(index=index, wait="20s")
assert int(later) > int(index) and "tcp" not in services, services

for service_id in ["plain", "ttl-1", "http"]:
    assert c.agent.service.deregister(service_id) is True
until("all are gone", lambda: c.catalog.services()[1] == {"consul": []})
print("all as expected")
