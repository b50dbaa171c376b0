//! What outlives an orderly end.

use regatta_proto::etcdserverpb as pb;
use tempfile::TempDir;

use super::client::{Client, watch};
use crate::server::Server;

#[tokio::test]
async fn keys_history_leases_and_identity_are_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = Server::with_etcd_in(folder.path()).await;
    let client = Client::connect(&server.etcd_endpoint()).await;
    let grant = pb::LeaseGrantRequest { id: 7, ttl: 100 };
    client.lease.clone().lease_grant(grant).await.unwrap();
    let first = client.put("a", "1").await;
    client.put_with("a", 7).await.unwrap();
    client.delete("a", "").await;
    client.put_with("b", 7).await.unwrap();
    let header = client.put("c", "1").await;
    let before = client.range(super::client::range("c", "")).await.header.unwrap();
    drop(client);
    server.stop().await;

    let server = Server::with_etcd_in(folder.path()).await;
    let client = Client::connect(&server.etcd_endpoint()).await;
    let after = client.range(super::client::range("c", "")).await.header.unwrap();
    assert_eq!((after.cluster_id, after.member_id), (before.cluster_id, before.member_id));
    assert_eq!((after.revision, after.raft_term), (header, before.raft_term + 1));
    let from = pb::WatchCreateRequest { start_revision: first, ..watch("\0", "\0") };
    let events = client.watch(from).await.events(5).await;
    assert_eq!(events, ["+a=1", "+a=leased", "-a", "+b=leased", "+c=1"]);
    client.lease.clone().lease_revoke(pb::LeaseRevokeRequest { id: 7 }).await.unwrap();
    assert_eq!((client.get("b").await, client.get("c").await), (None, Some("1".to_owned())));
}
