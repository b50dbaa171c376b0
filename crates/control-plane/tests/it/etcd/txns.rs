//! Transactions.

use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use regatta_proto::etcdserverpb::request_op::Request;
use regatta_proto::etcdserverpb::response_op::Response;
use tonic::{Code, Status};

use super::client::{Client, assert_refused, bytes, delete, keys, put, range, text, watch};

pub(crate) async fn suite(client: &Client) {
    compares(client).await;
    operations(client).await;
    nested(client).await;
    put_and_deleted(client).await;
    refusals(client).await;
}

async fn compares(client: &Client) {
    let first = client.put("t/a", "m").await;
    let second = client.put("t/a", "m").await;
    client.put("t/b", "m").await;
    let holds = async |compare: pb::Compare| {
        let request = pb::TxnRequest { compare: vec![compare], ..<_>::default() };
        run(client, request).await.unwrap().succeeded
    };
    let [equal, greater, less, differs] = [
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ];
    for (target, at, below) in [
        (CompareTarget::Version, TargetUnion::Version(2), TargetUnion::Version(1)),
        (CompareTarget::Create, TargetUnion::CreateRevision(first), TargetUnion::CreateRevision(0)),
        (CompareTarget::Mod, TargetUnion::ModRevision(second), TargetUnion::ModRevision(first)),
        (CompareTarget::Value, TargetUnion::Value(bytes("m")), TargetUnion::Value(bytes("a"))),
        (CompareTarget::Lease, TargetUnion::Lease(0), TargetUnion::Lease(-1)),
    ] {
        let check = async |result, union: &TargetUnion| {
            holds(compare("t/a", target, result, union.clone())).await
        };
        assert!(check(equal, &at).await && !check(equal, &below).await, "{target:?}");
        assert!(check(greater, &below).await && !check(greater, &at).await, "{target:?}");
        assert!(check(differs, &below).await && !check(differs, &at).await, "{target:?}");
        assert!(!check(less, &below).await, "{target:?}");
    }

    // A key that is absent is 0 in every number, and has no value to compare.
    let absent = |target, result, union| compare("t/none", target, result, union);
    let zero = TargetUnion::CreateRevision(0);
    assert!(holds(absent(CompareTarget::Create, equal, zero)).await);
    let any = TargetUnion::Value(bytes("x"));
    assert!(!holds(absent(CompareTarget::Value, differs, any)).await);

    // Over a range, every key has to pass.
    let over = |value: &str| pb::Compare {
        range_end: bytes("t0"),
        ..compare("t/", CompareTarget::Value, equal, TargetUnion::Value(bytes(value)))
    };
    assert!(holds(over("m")).await);
    client.put("t/b", "other").await;
    assert!(!holds(over("m")).await);
    client.delete("t/", "t0").await;
}

async fn operations(client: &Client) {
    let before = client.put("o/a", "1").await;
    // A transaction reads what it has written, and all of it is one revision.
    let request = pb::TxnRequest {
        success: vec![
            operation(Request::RequestRange(range("o/", "o0"))),
            operation(Request::RequestPut(pb::PutRequest { prev_kv: true, ..put("o/a", "2") })),
            operation(Request::RequestPut(put("o/b", "2"))),
            operation(Request::RequestRange(range("o/", "o0"))),
            operation(Request::RequestDeleteRange(delete("o/none", ""))),
        ],
        ..<_>::default()
    };
    let done = run(client, request).await.unwrap();
    assert!(done.succeeded, "no compare is one that holds");
    assert_eq!(done.header.unwrap().revision, before + 1);
    let responses: Vec<_> = done.responses.into_iter().map(|op| op.response.unwrap()).collect();
    let [
        Response::ResponseRange(first),
        Response::ResponsePut(put_a),
        Response::ResponsePut(put_b),
        Response::ResponseRange(second),
        Response::ResponseDeleteRange(deleted),
    ] = &responses[..]
    else {
        panic!("one response an operation, in order: {responses:?}")
    };
    assert_eq!((keys(first).as_str(), keys(second).as_str()), ("o/a", "o/a o/b"));
    assert_eq!(text(&put_a.prev_kv.as_ref().unwrap().value), "1");
    for header in [&put_a.header, &put_b.header, &deleted.header] {
        assert_eq!(header.as_ref().unwrap().revision, before + 1);
    }
    assert_eq!(second.kvs[1].mod_revision, before + 1);
    assert_eq!(deleted.deleted, 0);

    // The other list, and none: reading is no revision.
    let exists =
        compare("o/none", CompareTarget::Version, CompareResult::Greater, TargetUnion::Version(0));
    let request = pb::TxnRequest {
        compare: vec![exists],
        success: vec![operation(Request::RequestPut(put("o/c", "1")))],
        failure: vec![operation(Request::RequestRange(range("o/a", "")))],
    };
    let done = run(client, request).await.unwrap();
    assert!(!done.succeeded);
    assert_eq!((done.header.unwrap().revision, done.responses.len()), (before + 1, 1));
    assert_eq!(client.get("o/c").await, None);
    let empty = run(client, pb::TxnRequest::default()).await.unwrap();
    assert!(empty.succeeded && empty.responses.is_empty());
}

async fn nested(client: &Client) {
    let exists = |key: &str| {
        compare(key, CompareTarget::Version, CompareResult::Greater, TargetUnion::Version(0))
    };
    // The inner one is judged before the outer one's put, so it does not see the key.
    let inner = pb::TxnRequest {
        compare: vec![exists("n/a")],
        success: vec![operation(Request::RequestPut(put("n/inner", "yes")))],
        failure: vec![operation(Request::RequestPut(put("n/inner", "no")))],
    };
    let outer = pb::TxnRequest {
        success: vec![
            operation(Request::RequestPut(put("n/a", "1"))),
            operation(Request::RequestTxn(inner)),
        ],
        ..<_>::default()
    };
    let done = run(client, outer).await.unwrap();
    let Some(Response::ResponseTxn(inner)) = &done.responses[1].response else {
        panic!("the second response is the inner one's")
    };
    assert!(!inner.succeeded);
    assert_eq!(client.get("n/inner").await.as_deref(), Some("no"));
    let found = client.range(range("n/", "n0")).await.kvs;
    assert_eq!(found[0].mod_revision, found[1].mod_revision);
}

/// What one nested transaction puts, a later one may delete, in the same revision.
async fn put_and_deleted(client: &Client) {
    let alone = |request| {
        let success = vec![operation(request)];
        operation(Request::RequestTxn(pb::TxnRequest { success, ..<_>::default() }))
    };
    let puts = || alone(Request::RequestPut(put("d/a", "1")));
    let deletes = || alone(Request::RequestDeleteRange(delete("d/", "d0")));
    let done = |success| run(client, pb::TxnRequest { success, ..<_>::default() });
    let mut watcher = client.watch(watch("d/a", "")).await;
    let revision = done(vec![puts(), deletes()]).await.unwrap().header.unwrap().revision;
    assert_eq!(watcher.events(2).await, ["+d/a=1", "-d/a"]);
    assert_eq!(client.get("d/a").await, None);
    let then = pb::RangeRequest { revision, ..range("d/a", "") };
    assert_eq!(client.range(then).await.count, 0);
    let from = pb::WatchCreateRequest { start_revision: revision, ..watch("d/", "d0") };
    assert_eq!(client.watch(from).await.events(2).await, ["+d/a=1", "-d/a"]);

    let duplicate = "etcdserver: duplicate key given in txn request";
    let direct = operation(Request::RequestDeleteRange(delete("d/a", "")));
    for refused in [vec![deletes(), puts()], vec![puts(), direct], vec![puts(), puts()]] {
        assert_refused(done(refused).await, Code::InvalidArgument, duplicate);
    }
}

async fn refusals(client: &Client) {
    let before = client.revision().await;
    let duplicate = "etcdserver: duplicate key given in txn request";
    let two = |one, other| pb::TxnRequest {
        success: vec![operation(one), operation(other)],
        ..<_>::default()
    };
    for request in [
        two(Request::RequestPut(put("f/a", "1")), Request::RequestPut(put("f/a", "2"))),
        two(Request::RequestPut(put("f/a", "1")), Request::RequestDeleteRange(delete("f/", "f0"))),
        two(Request::RequestDeleteRange(delete("f/a", "")), Request::RequestPut(put("f/a", "1"))),
    ] {
        assert_refused(run(client, request).await, Code::InvalidArgument, duplicate);
    }
    // Deletions may overlap, and so may the two lists.
    let both = two(
        Request::RequestDeleteRange(delete("f/", "f0")),
        Request::RequestDeleteRange(delete("f/a", "")),
    );
    run(client, both).await.unwrap();

    let many = |count: usize| pb::TxnRequest {
        success: (0..count)
            .map(|number| operation(Request::RequestPut(put(&format!("f/{number}"), "1"))))
            .collect(),
        ..<_>::default()
    };
    let too_many = "etcdserver: too many operations in txn request";
    assert_refused(run(client, many(129)).await, Code::InvalidArgument, too_many);
    assert_eq!(client.revision().await, before);
    run(client, many(128)).await.unwrap();

    // What fails at the end leaves nothing of the beginning.
    let before = client.revision().await;
    let unknown = pb::PutRequest { lease: 4711, ..put("f/y", "1") };
    let request = two(Request::RequestPut(put("f/x", "1")), Request::RequestPut(unknown));
    let not_found = "etcdserver: requested lease not found";
    assert_refused(run(client, request).await, Code::NotFound, not_found);
    assert_eq!((client.get("f/x").await, client.revision().await), (None, before));
    let kindless = pb::TxnRequest { success: vec![pb::RequestOp::default()], ..<_>::default() };
    let within = operation(Request::RequestTxn(kindless.clone()));
    let no_kind = "etcdserver: key not found";
    for request in [kindless, pb::TxnRequest { failure: vec![within], ..<_>::default() }] {
        assert_refused(run(client, request).await, Code::InvalidArgument, no_kind);
    }
    let no_key = "etcdserver: key is not provided";
    let request = pb::TxnRequest { compare: vec![pb::Compare::default()], ..<_>::default() };
    assert_refused(run(client, request).await, Code::InvalidArgument, no_key);
}

async fn run(client: &Client, request: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
    Ok(client.kv.clone().txn(request).await?.into_inner())
}

fn operation(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn compare(
    key: &str,
    target: CompareTarget,
    result: CompareResult,
    union: TargetUnion,
) -> pb::Compare {
    pb::Compare {
        key: bytes(key),
        target: target.into(),
        result: result.into(),
        target_union: Some(union),
        ..<_>::default()
    }
}
