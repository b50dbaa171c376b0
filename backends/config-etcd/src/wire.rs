//! Between the port's words and etcd's messages.

use regatta_config::center::{Change, Commit, Expected, Item, LeaseId, Which, Write};
use regatta_proto::etcdserverpb as pb;
use regatta_proto::mvccpb;

/// First key, and the end of a range: empty for a single key.
pub(crate) fn range(which: &Which) -> (Vec<u8>, Vec<u8>) {
    match which {
        Which::Key(key) => (key.clone().into_bytes(), Vec::new()),
        Which::Prefix(prefix) if prefix.is_empty() => (vec![0], vec![0]),
        Which::Prefix(prefix) => (prefix.clone().into_bytes(), after(prefix.as_bytes())),
    }
}

/// The first key that does not begin so: the last byte that can be counted up, counted up.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // All bytes are the highest: to the end of all keys.
    vec![0]
}

pub(crate) fn revision(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn item(kv: &mvccpb::KeyValue) -> Item {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Item::new(&text(&kv.key), &text(&kv.value), revision(kv.mod_revision))
}

/// A change; none for an event without a key, which no server sends.
pub(crate) fn change(event: &mvccpb::Event) -> Option<Change> {
    let kv = event.kv.as_ref()?;
    Some(match event.r#type() {
        mvccpb::event::EventType::Put => Change::Put(item(kv)),
        mvccpb::event::EventType::Delete => {
            let Item { key, revision, .. } = item(kv);
            Change::Delete { key, revision }
        }
    })
}

/// A commit as a transaction. Where a condition does not hold, the answer has what was found of
/// each, in their order.
pub(crate) fn transaction(commit: &Commit) -> pb::TxnRequest {
    let compare = |(key, expected): &(String, Expected)| {
        use pb::compare::{CompareResult, CompareTarget, TargetUnion};
        let (target, target_union) = match expected {
            Expected::Any => return None,
            Expected::Absent => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
            Expected::Revision(revision) => {
                (CompareTarget::Mod, TargetUnion::ModRevision(number(*revision)))
            }
        };
        Some(pb::Compare {
            result: CompareResult::Equal.into(),
            target: target.into(),
            key: key.clone().into(),
            target_union: Some(target_union),
            ..pb::Compare::default()
        })
    };
    let look = |(key, _): &(String, Expected)| {
        let range = pb::RangeRequest {
            key: key.clone().into(),
            keys_only: true,
            ..pb::RangeRequest::default()
        };
        operation(pb::request_op::Request::RequestRange(range))
    };
    pb::TxnRequest {
        compare: commit.conditions.iter().filter_map(compare).collect(),
        success: commit.writes.iter().map(write).collect(),
        failure: commit.conditions.iter().map(look).collect(),
    }
}

/// The first key that is not as expected, of those that a failed transaction has looked at.
pub(crate) fn conflict(commit: &Commit, answer: &pb::TxnResponse) -> String {
    let found = answer.responses.iter().map(|response| match &response.response {
        Some(pb::response_op::Response::ResponseRange(range)) => {
            range.kvs.first().map(|kv| revision(kv.mod_revision))
        }
        _ => None,
    });
    let holds = |expected: Expected, found: Option<u64>| match expected {
        Expected::Any => true,
        Expected::Absent => found.is_none(),
        Expected::Revision(revision) => found == Some(revision),
    };
    let mut looked = commit.conditions.iter().zip(found);
    let first = looked.find(|((_, expected), found)| !holds(*expected, *found));
    let first = first.map(|((key, _), _)| key).or(commit.conditions.first().map(|(key, _)| key));
    first.cloned().unwrap_or_default()
}

/// How many keys a transaction has deleted.
pub(crate) fn deleted(answer: &pb::TxnResponse) -> u64 {
    let deleted = |response: &pb::ResponseOp| match &response.response {
        Some(pb::response_op::Response::ResponseDeleteRange(range)) => revision(range.deleted),
        _ => 0,
    };
    answer.responses.iter().map(deleted).sum()
}

fn write(write: &Write) -> pb::RequestOp {
    use pb::request_op::Request;
    operation(match write {
        Write::Put { key, value, lease } => Request::RequestPut(pb::PutRequest {
            key: key.clone().into(),
            value: value.clone().into(),
            lease: lease.map_or(0, |LeaseId(id)| id),
            ..pb::PutRequest::default()
        }),
        Write::Delete { key } => Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key: key.clone().into(),
            ..pb::DeleteRangeRequest::default()
        }),
    })
}

fn operation(request: pb::request_op::Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_first_key_that_does_not_begin_so() {
        let end = |prefix: &[u8]| after(prefix);
        assert_eq!(end(b"/a/"), b"/a0");
        assert_eq!(end(b"a\xff"), b"b");
        assert_eq!(end(b"\xff\xff"), [0]);
        assert_eq!(range(&Which::Prefix(String::new())), (vec![0], vec![0]));
        assert_eq!(range(&Which::Key("a".to_owned())), (b"a".to_vec(), Vec::new()));
    }

    #[test]
    fn the_key_of_a_conflict_is_the_first_that_is_not_as_expected() {
        let commit = Commit::new().expect("a", Expected::Absent).expect("b", Expected::Revision(7));
        let found = |revision: Option<i64>| {
            let kv = |mod_revision| mvccpb::KeyValue { mod_revision, ..<_>::default() };
            let kvs = revision.map(kv).into_iter().collect();
            let range = pb::RangeResponse { kvs, ..<_>::default() };
            let response = Some(pb::response_op::Response::ResponseRange(range));
            pb::ResponseOp { response }
        };
        let answer =
            |a, b| pb::TxnResponse { responses: vec![found(a), found(b)], ..<_>::default() };
        assert_eq!(conflict(&commit, &answer(None, Some(8))), "b");
        assert_eq!(conflict(&commit, &answer(Some(1), Some(7))), "a");
        assert_eq!(conflict(&commit, &answer(None, None)), "b");
    }
}
