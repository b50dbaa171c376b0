//! Leases.

use regatta_proto::etcdserverpb as pb;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::client::{Client, assert_refused, put, range, text, watch};

const NOT_FOUND: &str = "etcdserver: requested lease not found";

pub(crate) async fn suite(client: &Client) {
    let grant = async |id, ttl| {
        let request = pb::LeaseGrantRequest { id, ttl };
        client.lease.clone().lease_grant(request).await.map(tonic::Response::into_inner)
    };
    let remaining = async |id| {
        let request = pb::LeaseTimeToLiveRequest { id, keys: true };
        client.lease.clone().lease_time_to_live(request).await.unwrap().into_inner()
    };
    let revoke = async |id| client.lease.clone().lease_revoke(pb::LeaseRevokeRequest { id }).await;

    // Granted with an id of the client's or of the server's.
    let granted = grant(1234, 100).await.unwrap();
    assert_eq!((granted.id, granted.ttl, granted.error.as_str()), (1234, 100, ""));
    let exists = "etcdserver: lease already exists";
    assert_refused(grant(1234, 100).await, Code::FailedPrecondition, exists);
    let chosen = grant(0, 100).await.unwrap();
    assert!(chosen.id > 0);
    let too_large = "etcdserver: too large lease TTL";
    assert_refused(grant(1, 10_000_000_000).await, Code::OutOfRange, too_large);
    let shortest = grant(0, 1).await.unwrap();
    assert_eq!(shortest.ttl, 2, "three halves of etcd's election timeout");

    // Keys belong to it.
    client.put_with("l/a", 1234).await.unwrap();
    client.put_with("l/b", 1234).await.unwrap();
    assert_refused(client.put_with("l/c", 4711).await, Code::NotFound, NOT_FOUND);
    let left = remaining(1234).await;
    assert_eq!((left.id, left.granted_ttl), (1234, 100));
    assert!((1..=100).contains(&left.ttl));
    let mut keys: Vec<_> = left.keys.iter().map(text).collect();
    keys.sort();
    assert_eq!(keys, ["l/a", "l/b"]);
    let none = remaining(4711).await;
    assert_eq!((none.ttl, none.granted_ttl), (-1, 0));
    let listed = client.lease.clone().lease_leases(pb::LeaseLeasesRequest {}).await;
    let listed: Vec<_> = listed.unwrap().into_inner().leases.iter().map(|one| one.id).collect();
    assert!(listed.contains(&1234) && listed.contains(&chosen.id));

    // Kept through a put that asks for it, lost through one that does not.
    let keep = pb::PutRequest { ignore_lease: true, ..put("l/a", "kept") };
    client.kv.clone().put(keep).await.unwrap();
    assert_eq!(client.range(range("l/a", "")).await.kvs[0].lease, 1234);
    client.put("l/b", "free").await;
    assert_eq!(client.range(range("l/b", "")).await.kvs[0].lease, 0);

    // Revoked: its keys go in one revision, and watches see it.
    client.put_with("l/c", 1234).await.unwrap();
    let mut watcher = client.watch(watch("l/", "l0")).await;
    let before = client.revision().await;
    revoke(1234).await.unwrap();
    assert_eq!(client.revision().await, before + 1);
    assert_eq!(watcher.events(2).await, ["-l/a", "-l/c"]);
    assert_eq!(client.get("l/b").await.as_deref(), Some("free"));
    assert_refused(revoke(1234).await, Code::NotFound, NOT_FOUND);
    let before = client.revision().await;
    revoke(chosen.id).await.unwrap();
    assert_eq!(client.revision().await, before, "a lease without keys ends in no revision");

    kept_alive(client).await;

    // Ended by time: watches see it as any deletion.
    let short = grant(0, 2).await.unwrap().id;
    client.put_with("l/short", short).await.unwrap();
    assert_eq!(watcher.events(1).await, ["+l/short=leased"]);
    assert_eq!(watcher.events(1).await, ["-l/short"]);
    client.until_gone("l/short").await;
    assert_eq!(remaining(short).await.ttl, -1);
}

async fn kept_alive(client: &Client) {
    let request = pb::LeaseGrantRequest { id: 99, ttl: 50 };
    client.lease.clone().lease_grant(request).await.unwrap();
    let (requests, stream) = tokio::sync::mpsc::channel(4);
    let ask = async |id| requests.send(pb::LeaseKeepAliveRequest { id }).await.unwrap();
    ask(99).await;
    let answers = client.lease.clone().lease_keep_alive(ReceiverStream::new(stream)).await;
    let mut answers = answers.unwrap().into_inner();
    let kept = answers.message().await.unwrap().unwrap();
    assert_eq!((kept.id, kept.ttl), (99, 50));
    // One that is not there is said to have no time; the stream goes on.
    ask(4711).await;
    let unknown = answers.message().await.unwrap().unwrap();
    assert_eq!((unknown.id, unknown.ttl), (4711, 0));
    ask(99).await;
    assert_eq!(answers.message().await.unwrap().unwrap().ttl, 50);
}
