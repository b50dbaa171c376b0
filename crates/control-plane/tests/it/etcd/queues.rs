//! Locks and elections.

use std::time::Duration;

use regatta_proto::etcdserverpb as etcd;
use regatta_proto::v3electionpb as election;
use regatta_proto::v3lockpb as lock;
use tonic::Code;

use super::client::{Client, assert_refused, bytes, text};
use crate::server::LIMIT;

pub(crate) async fn suite(client: &Client) {
    locks(client).await;
    elections(client).await;
}

async fn lease(client: &Client) -> i64 {
    let request = etcd::LeaseGrantRequest { id: 0, ttl: 60 };
    client.lease.clone().lease_grant(request).await.unwrap().into_inner().id
}

async fn locks(client: &Client) {
    let (one, two) = (lease(client).await, lease(client).await);
    let take = async |lease| {
        let request = lock::LockRequest { name: bytes("lock"), lease };
        client.lock.clone().lock(request).await.unwrap().into_inner().key
    };
    let key = take(one).await;
    assert_eq!(text(&key), format!("lock/{one:x}"));
    assert_eq!(take(one).await, key, "who has it gets it again");

    // Another waits, and has it when the first lets go.
    let mut waiting = std::pin::pin!(take(two));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "one at a time");
    client.lock.clone().unlock(lock::UnlockRequest { key }).await.unwrap();
    let key = tokio::time::timeout(LIMIT, &mut waiting).await.unwrap();
    assert_eq!(text(&key), format!("lock/{two:x}"));

    // The end of its lease is the end of the lock.
    let mut waiting = std::pin::pin!(take(one));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err());
    client.lease.clone().lease_revoke(etcd::LeaseRevokeRequest { id: two }).await.unwrap();
    tokio::time::timeout(LIMIT, waiting).await.unwrap();

    // Who goes away while waiting leaves the queue.
    let three = lease(client).await;
    let gone = tokio::time::timeout(Duration::from_millis(300), take(three)).await;
    assert!(gone.is_err());
    client.until_gone(&format!("lock/{three:x}")).await;
}

async fn elections(client: &Client) {
    let (one, two) = (lease(client).await, lease(client).await);
    let mut calls = client.election.clone();
    let name = || bytes("election");
    let ask = || election::LeaderRequest { name: name() };
    let nobody = calls.leader(ask()).await;
    assert_refused(nobody, Code::Unknown, "election: no leader");

    let campaign = async |lease, value: &str| {
        let request = election::CampaignRequest { name: name(), lease, value: bytes(value) };
        client.election.clone().campaign(request).await.unwrap().into_inner().leader.unwrap()
    };
    let first = campaign(one, "one").await;
    assert_eq!((text(&first.key), first.lease), (format!("election/{one:x}"), one));
    let mut observed = calls.observe(ask()).await.unwrap().into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(LIMIT, observed.message()).await.unwrap();
        text(&next.unwrap().unwrap().kv.unwrap().value)
    };
    assert_eq!(next().await, "one");
    let leader = calls.leader(ask()).await.unwrap().into_inner().kv.unwrap();
    assert_eq!((leader.key, leader.create_revision), (first.key.clone(), first.rev));

    let proclaim = |leader: &election::LeaderKey, value: &str| election::ProclaimRequest {
        leader: Some(leader.clone()),
        value: bytes(value),
    };
    calls.proclaim(proclaim(&first, "still one")).await.unwrap();
    assert_eq!(next().await, "still one");

    let mut waiting = std::pin::pin!(campaign(two, "two"));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "one leads at a time");
    let resign = election::ResignRequest { leader: Some(first.clone()) };
    calls.resign(resign).await.unwrap();
    let second = tokio::time::timeout(LIMIT, waiting).await.unwrap();
    assert_eq!(second.lease, two);
    assert_eq!(next().await, "two");
    let late = calls.proclaim(proclaim(&first, "me again")).await;
    assert_refused(late, Code::Unknown, "election: not leader");
}
