//! Watches: live, from the past, from the future; filters; ends.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::request_op::Request;
use regatta_proto::etcdserverpb::watch_create_request::FilterType;
use regatta_proto::etcdserverpb::watch_request::RequestUnion;

use super::client::{Client, bytes, put, text, watch};

pub(crate) async fn suite(client: &Client) {
    live(client).await;
    replayed(client).await;
    filtered(client).await;
    shared_stream(client).await;
    progress(client).await;
    fragmented(client).await;
    compacted(client).await;
}

async fn live(client: &Client) {
    client.put("l/a", "before").await;
    let mut one = client.watch(watch("l/a", "")).await;
    let mut prefix = client.watch(watch("l/", "l0")).await;
    let revision = client.put("l/a", "1").await;
    client.put("l/b", "1").await;
    client.put("other", "1").await;
    client.delete("l/a", "").await;
    assert_eq!(one.events(2).await, ["+l/a=1", "-l/a"]);
    assert_eq!(prefix.events(3).await, ["+l/a=1", "+l/b=1", "-l/a"]);
    assert!(one.is_silent().await);

    // A transaction's events come in one answer.
    let operation =
        |key: &str| pb::RequestOp { request: Some(Request::RequestPut(put(key, "txn"))) };
    let success = vec![operation("l/x"), operation("l/y"), operation("l/z")];
    client.kv.clone().txn(pb::TxnRequest { success, ..<_>::default() }).await.unwrap();
    let whole = prefix.next().await;
    assert_eq!(whole.events.len(), 3);
    assert!(whole.header.unwrap().revision > revision);

    // A deletion carries the key and its revision only.
    client.delete("l/x", "").await;
    let deleted = prefix.next().await.events.remove(0);
    let kv = deleted.kv.unwrap();
    assert_eq!((kv.version, kv.create_revision, kv.value.len()), (0, 0, 0));
    assert!(kv.mod_revision > 0 && deleted.prev_kv.is_none());
}

async fn replayed(client: &Client) {
    let first = client.put("p/a", "1").await;
    client.put("p/b", "1").await;
    client.delete("p/a", "").await;
    let from = |start_revision| pb::WatchCreateRequest { start_revision, ..watch("p/", "p0") };
    let mut past = client.watch(from(first)).await;
    client.put("p/c", "1").await;
    assert_eq!(past.events(4).await, ["+p/a=1", "+p/b=1", "-p/a", "+p/c=1"]);
    let mut middle = client.watch(from(first + 2)).await;
    assert_eq!(middle.events(2).await, ["-p/a", "+p/c=1"]);

    // A start in the future waits for it.
    let now = client.revision().await;
    let mut future = client.watch(from(now + 2)).await;
    client.put("p/early", "1").await;
    client.put("p/late", "1").await;
    assert_eq!(future.events(1).await, ["+p/late=1"]);

    // More than one step holds.
    for number in 0..1500 {
        client.put("q/many", &number.to_string()).await;
    }
    let request = pb::WatchCreateRequest { start_revision: now, ..watch("q/many", "") };
    let events = client.watch(request).await.events(1500).await;
    let expected: Vec<_> = (0..1500).map(|number| format!("+q/many={number}")).collect();
    assert_eq!(events, expected);
}

async fn filtered(client: &Client) {
    let filters = |filter: FilterType| vec![filter.into()];
    let request = |filter| pb::WatchCreateRequest { filters: filters(filter), ..watch("f/a", "") };
    let mut deletes = client.watch(request(FilterType::Noput)).await;
    let mut puts = client.watch(request(FilterType::Nodelete)).await;
    let with_previous = pb::WatchCreateRequest { prev_kv: true, ..watch("f/a", "") };
    let mut previous = client.watch(with_previous).await;
    client.put("f/a", "1").await;
    client.put("f/a", "2").await;
    client.delete("f/a", "").await;
    client.put("f/a", "3").await;
    assert_eq!(deletes.events(1).await, ["-f/a"]);
    assert_eq!(puts.events(3).await, ["+f/a=1", "+f/a=2", "+f/a=3"]);
    let mut before = Vec::new();
    while before.len() < 4 {
        let events = previous.next().await.events;
        before.extend(events.into_iter().map(|event| event.prev_kv.map(|kv| text(&kv.value))));
    }
    assert_eq!(before, [None, Some("1".to_owned()), Some("2".to_owned()), None]);
}

async fn shared_stream(client: &Client) {
    let mut stream = client.watcher();
    let mut ids = Vec::new();
    for key in ["s/a", "s/b"] {
        stream.create(watch(key, "")).await;
        let created = stream.next().await;
        assert!(created.created);
        ids.push(created.watch_id);
    }
    assert_ne!(ids[0], ids[1]);
    stream.create(pb::WatchCreateRequest { watch_id: 77, ..watch("s/c", "") }).await;
    assert_eq!(stream.next().await.watch_id, 77);
    client.put("s/c", "1").await;
    assert_eq!(stream.next().await.watch_id, 77);

    // The same id again is refused; the first goes on.
    stream.create(pb::WatchCreateRequest { watch_id: 77, ..watch("s/d", "") }).await;
    let refused = stream.next().await;
    assert!(refused.canceled && refused.watch_id == -1, "{refused:?}");
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");

    stream.send(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: ids[0] })).await;
    let canceled = stream.next().await;
    assert!(canceled.canceled && canceled.watch_id == ids[0]);
    client.put("s/a", "1").await;
    client.put("s/b", "1").await;
    let next = stream.next().await;
    assert_eq!((next.watch_id, next.events.len()), (ids[1], 1));
}

async fn progress(client: &Client) {
    let mut stream = client.watch(watch("g/a", "")).await;
    let revision = client.put("g/other", "1").await;
    stream.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
    let answer = stream.next().await;
    assert!(answer.events.is_empty() && !answer.created && !answer.canceled);
    assert!(answer.header.unwrap().revision >= revision);
    assert_eq!(answer.watch_id, -1);
}

async fn fragmented(client: &Client) {
    // More in one revision than an answer may have: 4 times 600 KB.
    let value = "x".repeat(600_000);
    let keys = ["m/1", "m/2"];
    for key in keys {
        client.put(key, &value).await;
    }
    let start = client.revision().await - 1;
    let request = pb::WatchCreateRequest {
        start_revision: start,
        fragment: true,
        prev_kv: true,
        ..watch("m/", "m0")
    };
    let mut stream = client.watch(request).await;
    client.delete("m/", "m0").await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let part = stream.next().await;
        seen.extend(part.events.iter().map(|event| text(&event.kv.as_ref().unwrap().key)));
    }
    assert_eq!(seen, ["m/1", "m/2", "m/1", "m/2"]);
}

async fn compacted(client: &Client) {
    let first = client.put("c/a", "1").await;
    client.put("c/a", "2").await;
    client.put("c/a", "3").await;
    let request = pb::CompactionRequest { revision: first + 1, physical: true };
    client.kv.clone().compact(request).await.unwrap();
    let request = pb::WatchCreateRequest { start_revision: first, ..watch("c/a", "") };
    let mut stream = client.watch(request).await;
    let canceled = stream.next().await;
    assert!(canceled.canceled, "{canceled:?}");
    assert_eq!(canceled.compact_revision, first + 1);
    // From the compaction on there is everything.
    let request = pb::WatchCreateRequest { start_revision: first + 1, ..watch("c/a", "") };
    let mut stream = client.watch(request).await;
    assert_eq!(stream.events(2).await, ["+c/a=2", "+c/a=3"]);

    // No key at all is a range that cannot be watched.
    let mut stream = client.watcher();
    stream.create(watch("z", "a")).await;
    assert!(stream.next().await.canceled);
    // Every key can.
    let all = pb::WatchCreateRequest { key: bytes("\0"), range_end: bytes("\0"), ..<_>::default() };
    let mut stream = client.watch(all).await;
    client.put("anything", "1").await;
    assert_eq!(stream.events(1).await, ["+anything=1"]);
}
