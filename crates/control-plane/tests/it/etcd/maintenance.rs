//! Members, status, alarms, hashes, snapshots.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::alarm_request::AlarmAction;
use tonic::Code;

use super::client::{Client, assert_refused, put};

pub(crate) async fn suite(client: &Client) {
    client.put("a", "1").await;
    let mut maintenance = client.maintenance.clone();

    let members = client.cluster.clone().member_list(pb::MemberListRequest {}).await;
    let members = members.unwrap().into_inner();
    let [member] = &members.members[..] else { panic!("one member: {members:?}") };
    assert_eq!(member.id, members.header.unwrap().member_id);
    assert!(!member.name.is_empty() && member.client_ur_ls[0].starts_with("http://127.0.0.1:"));

    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert!(status.version.starts_with("3."));
    assert_eq!(status.leader, member.id);
    assert!(status.db_size > 0 && status.raft_index > 0 && status.raft_term > 0);
    assert_eq!(status.header.unwrap().revision, 2);

    // Equal content has an equal hash; a change makes another.
    let hash = async |revision| {
        let request = pb::HashKvRequest { revision };
        client.maintenance.clone().hash_kv(request).await.map(tonic::Response::into_inner)
    };
    let first = hash(0).await.unwrap();
    assert_eq!(first.hash, hash(2).await.unwrap().hash);
    client.put("a", "2").await;
    assert_ne!(first.hash, hash(0).await.unwrap().hash);
    assert_eq!(first.hash, hash(2).await.unwrap().hash);
    let future = "etcdserver: mvcc: required revision is a future revision";
    assert_refused(hash(99).await, Code::OutOfRange, future);
    let whole = maintenance.hash(pb::HashRequest {}).await.unwrap().into_inner().hash;
    client.put("a", "3").await;
    assert_ne!(whole, maintenance.hash(pb::HashRequest {}).await.unwrap().into_inner().hash);

    maintenance.defragment(pb::DefragmentRequest {}).await.unwrap();
    assert_eq!(client.get("a").await.as_deref(), Some("3"));

    // A file, and then its checksum.
    let mut stream = maintenance.snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    let (mut bytes, mut left) = (0, u64::MAX);
    while let Some(chunk) = stream.message().await.unwrap() {
        bytes += chunk.blob.len();
        assert!(chunk.remaining_bytes <= left);
        left = chunk.remaining_bytes;
    }
    assert_eq!((left, bytes % 512), (0, 32));

    let target = pb::MoveLeaderRequest { target_id: 1 };
    let refused = maintenance.move_leader(target).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    alarms(client).await;
}

async fn alarms(client: &Client) {
    let alarm_of = async |action: AlarmAction, alarm: pb::AlarmType, member_id: u64| {
        let (action, alarm) = (action.into(), alarm.into());
        let request = pb::AlarmRequest { action, alarm, member_id };
        client.maintenance.clone().alarm(request).await.unwrap().into_inner().alarms.len()
    };
    let alarm = async |action, alarm| alarm_of(action, alarm, 0).await;
    assert_eq!(alarm(AlarmAction::Get, pb::AlarmType::None).await, 0);
    assert_eq!(alarm(AlarmAction::Activate, pb::AlarmType::Nospace).await, 1);
    assert_eq!(alarm(AlarmAction::Get, pb::AlarmType::None).await, 1);
    // No room: nothing is put, but what is there can be read and deleted.
    let no_space = "etcdserver: mvcc: database space exceeded";
    let refused = client.kv.clone().put(put("b", "1")).await;
    assert_refused(refused, Code::ResourceExhausted, no_space);
    assert_eq!(client.get("a").await.as_deref(), Some("3"));
    assert_eq!(client.delete("a", "").await.deleted, 1);
    // Each member has its own; the last one ends it.
    assert_eq!(alarm_of(AlarmAction::Activate, pb::AlarmType::Nospace, 7).await, 1);
    assert_eq!(alarm(AlarmAction::Get, pb::AlarmType::None).await, 2);
    assert_eq!(alarm(AlarmAction::Deactivate, pb::AlarmType::Nospace).await, 1);
    assert_eq!(alarm(AlarmAction::Deactivate, pb::AlarmType::Nospace).await, 0);
    let refused = client.kv.clone().put(put("b", "1")).await;
    assert_refused(refused, Code::ResourceExhausted, no_space);
    assert_eq!(alarm_of(AlarmAction::Deactivate, pb::AlarmType::Nospace, 7).await, 1);
    client.put("b", "1").await;
}
