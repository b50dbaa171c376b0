//! Ranges, puts, deletions and compaction.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use tonic::Code;

use super::client::{Client, assert_refused, bytes, delete, keys, put, range, text};

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";

pub(crate) async fn ranges(client: &Client) {
    let first = client.put("r/a", "3").await;
    client.put("r/b", "1").await;
    client.put("r/c", "2").await;
    client.put("r/a", "3").await;
    client.put("s", "x").await;
    let all = || range("r/", "r0");
    let shown = async |request| keys(&client.range(request).await);

    // Which keys.
    assert_eq!(shown(all()).await, "r/a r/b r/c");
    assert_eq!(shown(range("r/b", "")).await, "r/b");
    assert_eq!(shown(range("r/b", "\0")).await, "r/b r/c s");
    assert_eq!(shown(range("\0", "\0")).await, "r/a r/b r/c s");
    assert_eq!(shown(range("r/c", "r/a")).await, "");
    assert_eq!(shown(range("none", "")).await, "");

    // Order, by each target, both ways.
    let sorted = async |target: SortTarget, order: SortOrder| {
        let (sort_target, sort_order) = (target.into(), order.into());
        shown(pb::RangeRequest { sort_target, sort_order, ..all() }).await
    };
    for (target, up, down) in [
        (SortTarget::Key, "r/a r/b r/c", "r/c r/b r/a"),
        (SortTarget::Create, "r/a r/b r/c", "r/c r/b r/a"),
        (SortTarget::Mod, "r/b r/c r/a", "r/a r/c r/b"),
        (SortTarget::Value, "r/b r/c r/a", "r/a r/c r/b"),
    ] {
        assert_eq!(sorted(target, SortOrder::Ascend).await, up, "{target:?}");
        assert_eq!(sorted(target, SortOrder::Descend).await, down, "{target:?}");
    }
    assert!(sorted(SortTarget::Version, SortOrder::Descend).await.starts_with("r/a"));
    // Without an order, another target than the key means ascending.
    assert_eq!(sorted(SortTarget::Mod, SortOrder::None).await, "r/b r/c r/a");

    // Limits and counts.
    let limited = client.range(pb::RangeRequest { limit: 2, ..all() }).await;
    assert_eq!((keys(&limited).as_str(), limited.more, limited.count), ("r/a r/b", true, 3));
    let enough = client.range(pb::RangeRequest { limit: 3, ..all() }).await;
    assert_eq!((enough.more, enough.count), (false, 3));
    let counted = client.range(pb::RangeRequest { count_only: true, ..all() }).await;
    assert_eq!((counted.kvs.len(), counted.count), (0, 3));
    let names = client.range(pb::RangeRequest { keys_only: true, ..all() }).await;
    assert!(names.kvs.iter().all(|kv| kv.value.is_empty() && kv.mod_revision > 0));

    // Bounds on revisions.
    let second = first + 1;
    for (request, expected) in [
        (pb::RangeRequest { min_mod_revision: second + 1, ..all() }, "r/a r/c"),
        (pb::RangeRequest { max_mod_revision: second, ..all() }, "r/b"),
        (pb::RangeRequest { min_create_revision: second, ..all() }, "r/b r/c"),
        (pb::RangeRequest { max_create_revision: first, ..all() }, "r/a"),
    ] {
        let found = client.range(request).await;
        assert_eq!((keys(&found).as_str(), found.count), (expected, 3));
    }

    // The past, and revisions that are none.
    let past = client.range(pb::RangeRequest { revision: second, ..all() }).await;
    assert_eq!(keys(&past), "r/a r/b");
    assert_eq!(past.header.unwrap().revision, client.revision().await);
    let ahead = pb::RangeRequest { revision: 10_000, ..all() };
    assert_refused(client.kv.clone().range(ahead).await, Code::OutOfRange, FUTURE);

    // Requests that say nothing that can be done.
    let no_key = "etcdserver: key is not provided";
    assert_refused(client.kv.clone().range(range("", "")).await, Code::InvalidArgument, no_key);
}

pub(crate) async fn writes(client: &Client) {
    let start = client.revision().await;
    assert_eq!(start, 1, "a new store is at revision 1");
    assert_eq!(client.put("w/a", "1").await, 2);
    assert_eq!(client.put("w/a", "2").await, 3);
    let header = client.range(range("w/a", "")).await.header.unwrap();
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term > 0);

    // Versions count within a life.
    let found = client.range(range("w/a", "")).await.kvs.remove(0);
    assert_eq!((found.create_revision, found.mod_revision, found.version), (2, 3, 2));
    assert_eq!((text(&found.value).as_str(), found.lease), ("2", 0));

    // What was there before.
    let request = pb::PutRequest { prev_kv: true, ..put("w/a", "3") };
    let previous = client.kv.clone().put(request).await.unwrap().into_inner().prev_kv.unwrap();
    assert_eq!((text(&previous.value).as_str(), previous.mod_revision), ("2", 3));
    let request = pb::PutRequest { prev_kv: true, ..put("w/new", "1") };
    assert!(client.kv.clone().put(request).await.unwrap().into_inner().prev_kv.is_none());

    // Keeping the value or the lease.
    let keep = pb::PutRequest { ignore_value: true, ..put("w/a", "") };
    client.kv.clone().put(keep).await.unwrap();
    assert_eq!(client.get("w/a").await.as_deref(), Some("3"));
    let both = pb::PutRequest { ignore_value: true, ..put("w/a", "no") };
    let provided = "etcdserver: value is provided";
    assert_refused(client.kv.clone().put(both).await, Code::InvalidArgument, provided);
    let both = pb::PutRequest { ignore_lease: true, lease: 7, ..put("w/a", "no") };
    let provided = "etcdserver: lease is provided";
    assert_refused(client.kv.clone().put(both).await, Code::InvalidArgument, provided);
    let absent = pb::PutRequest { ignore_value: true, ..put("w/none", "") };
    let not_found = "etcdserver: key not found";
    assert_refused(client.kv.clone().put(absent).await, Code::InvalidArgument, not_found);
    let absent = pb::PutRequest { ignore_lease: true, ..put("w/none", "1") };
    assert_refused(client.kv.clone().put(absent).await, Code::InvalidArgument, not_found);

    // Deletions: none is no revision, many are one.
    client.put("w/b", "1").await;
    let before = client.revision().await;
    assert_eq!(client.delete("w/none", "").await.deleted, 0);
    assert_eq!(client.revision().await, before);
    let request = pb::DeleteRangeRequest { prev_kv: true, ..delete("w/", "w0") };
    let deleted = client.kv.clone().delete_range(request).await.unwrap().into_inner();
    assert_eq!((deleted.deleted, deleted.prev_kvs.len()), (3, 3));
    assert_eq!(deleted.header.unwrap().revision, before + 1);
    assert_eq!(client.get("w/a").await, None);

    // A key's next life begins anew; an empty value is a value.
    let revision = client.put("w/a", "").await;
    let found = client.range(range("w/a", "")).await.kvs.remove(0);
    assert_eq!((found.create_revision, found.version), (revision, 1));

    let no_key = "etcdserver: key is not provided";
    assert_refused(client.kv.clone().put(put("", "1")).await, Code::InvalidArgument, no_key);
    let nothing = client.kv.clone().delete_range(delete("", "")).await;
    assert_refused(nothing, Code::InvalidArgument, no_key);
    // Any bytes are a key and a value.
    let binary = pb::PutRequest {
        key: vec![0, 255, 0].into(),
        value: vec![255, 0].into(),
        ..<_>::default()
    };
    client.kv.clone().put(binary.clone()).await.unwrap();
    let request = pb::RangeRequest { key: binary.key, ..<_>::default() };
    assert_eq!(client.range(request).await.kvs[0].value, binary.value);
}

pub(crate) async fn compaction(client: &Client) {
    for value in ["1", "2", "3", "4"] {
        client.put("c/a", value).await;
    }
    client.put("c/gone", "1").await;
    client.delete("c/gone", "").await;
    let compact = async |revision| {
        let request = pb::CompactionRequest { revision, physical: true };
        client.kv.clone().compact(request).await
    };
    let at = async |revision| {
        let request = pb::RangeRequest { revision, ..range("c/a", "") };
        client.kv.clone().range(request).await
    };
    assert_eq!(text(&at(3).await.unwrap().into_inner().kvs[0].value), "2");
    let before = client.revision().await;
    let done = compact(4).await.unwrap().into_inner();
    assert_eq!(done.header.unwrap().revision, before, "a compaction is no revision");
    assert_refused(at(3).await, Code::OutOfRange, COMPACTED);
    assert_eq!(text(&at(4).await.unwrap().into_inner().kvs[0].value), "3");
    assert_eq!(text(&at(5).await.unwrap().into_inner().kvs[0].value), "4");
    assert_refused(compact(4).await, Code::OutOfRange, COMPACTED);
    assert_refused(compact(before + 1).await, Code::OutOfRange, FUTURE);

    // Within a transaction, too, and then nothing of it is done.
    let past = pb::RangeRequest { revision: 2, ..range("c/a", "") };
    let request = pb::TxnRequest {
        success: vec![
            pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put("c/x", "1"))) },
            pb::RequestOp { request: Some(pb::request_op::Request::RequestRange(past)) },
        ],
        ..<_>::default()
    };
    assert_refused(client.kv.clone().txn(request).await, Code::OutOfRange, COMPACTED);
    assert_eq!(client.get("c/x").await, None);
    assert_eq!(
        client.range(pb::RangeRequest { key: bytes("c/gone"), ..<_>::default() }).await.count,
        0
    );
}
