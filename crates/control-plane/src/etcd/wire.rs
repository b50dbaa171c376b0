//! Requests of etcd's clients as operations, and answers back.

use bytes::Bytes;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use regatta_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use regatta_proto::etcdserverpb::request_op::Request;
use regatta_proto::etcdserverpb::response_op::Response;
use regatta_proto::mvccpb::{self, event::EventType};

use crate::kv::{
    Alarm, Answer, Between, Compare, Delete, Event, Found, KeyRange, Operation, Put, Query,
    Rejection, Relation, Reply, Sort, Target, Txn, TxnReply,
};

/// Transactions within transactions; deeper ones are refused, since each level is walked through.
const MOST_LEVELS: usize = 32;

pub(crate) fn query(request: pb::RangeRequest) -> Result<Query, Rejection> {
    let order = SortOrder::try_from(request.sort_order).map_err(|_| Rejection::SortOption)?;
    let target = SortTarget::try_from(request.sort_target).map_err(|_| Rejection::SortOption)?;
    if request.key.is_empty() {
        return Err(Rejection::NoKey);
    }
    Ok(Query {
        range: KeyRange::new(request.key, request.range_end),
        revision: request.revision,
        limit: usize::try_from(request.limit).unwrap_or_default(),
        sort: match target {
            SortTarget::Key => Sort::Key,
            SortTarget::Version => Sort::Version,
            SortTarget::Create => Sort::Created,
            SortTarget::Mod => Sort::Modified,
            SortTarget::Value => Sort::Value,
        },
        descending: order == SortOrder::Descend,
        keys_only: request.keys_only,
        count_only: request.count_only,
        modified: Between { least: request.min_mod_revision, most: request.max_mod_revision },
        created: Between { least: request.min_create_revision, most: request.max_create_revision },
    })
}

pub(crate) fn put(request: pb::PutRequest) -> Result<Put, Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::NoKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Rejection::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Rejection::LeaseProvided);
    }
    Ok(Put {
        key: request.key,
        value: (!request.ignore_value).then_some(request.value),
        lease: (!request.ignore_lease).then_some(request.lease),
        previous: request.prev_kv,
    })
}

pub(crate) fn delete(request: pb::DeleteRangeRequest) -> Result<Delete, Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::NoKey);
    }
    let range = KeyRange::new(request.key, request.range_end);
    Ok(Delete { range, previous: request.prev_kv })
}

pub(crate) fn txn(request: pb::TxnRequest) -> Result<Txn, Rejection> {
    nested_txn(request, MOST_LEVELS)
}

fn nested_txn(request: pb::TxnRequest, levels: usize) -> Result<Txn, Rejection> {
    let levels = levels.checked_sub(1).ok_or(Rejection::TooManyOperations)?;
    let list = |operations: Vec<pb::RequestOp>| {
        // An operation without a kind is one that this build does not know; the refusal is etcd's.
        let known = operations.into_iter().map(|one| one.request.ok_or(Rejection::KeyNotFound));
        known.map(|request| operation(request?, levels)).collect::<Result<Vec<_>, _>>()
    };
    let compares = request.compare.into_iter().map(compare).collect::<Result<_, _>>()?;
    Ok(Txn { compares, success: list(request.success)?, failure: list(request.failure)? })
}

fn operation(request: Request, levels: usize) -> Result<Operation, Rejection> {
    Ok(match request {
        Request::RequestRange(request) => Operation::Range(query(request)?),
        Request::RequestPut(request) => Operation::Put(put(request)?),
        Request::RequestDeleteRange(request) => Operation::Delete(delete(request)?),
        Request::RequestTxn(request) => Operation::Txn(nested_txn(request, levels)?),
    })
}

fn compare(compare: pb::Compare) -> Result<Compare, Rejection> {
    if compare.key.is_empty() {
        return Err(Rejection::NoKey);
    }
    let (relation, target) = (compare.result(), compare.target());
    let number = |of: fn(&TargetUnion) -> Option<i64>| {
        compare.target_union.as_ref().and_then(of).unwrap_or_default()
    };
    let target = match target {
        CompareTarget::Version => Target::Version(number(|target| match target {
            TargetUnion::Version(number) => Some(*number),
            _ => None,
        })),
        CompareTarget::Create => Target::Created(number(|target| match target {
            TargetUnion::CreateRevision(number) => Some(*number),
            _ => None,
        })),
        CompareTarget::Mod => Target::Modified(number(|target| match target {
            TargetUnion::ModRevision(number) => Some(*number),
            _ => None,
        })),
        CompareTarget::Lease => Target::Lease(number(|target| match target {
            TargetUnion::Lease(number) => Some(*number),
            _ => None,
        })),
        CompareTarget::Value => Target::Value(match &compare.target_union {
            Some(TargetUnion::Value(value)) => value.clone(),
            _ => Bytes::new(),
        }),
    };
    Ok(Compare {
        range: KeyRange::new(compare.key, compare.range_end),
        target,
        relation: match relation {
            CompareResult::Equal => Relation::Equal,
            CompareResult::NotEqual => Relation::NotEqual,
            CompareResult::Greater => Relation::Greater,
            CompareResult::Less => Relation::Less,
        },
    })
}

pub(crate) fn key_value(found: Found) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: found.key,
        create_revision: found.version.created,
        mod_revision: found.version.revision,
        version: found.version.version,
        value: found.version.value,
        lease: found.version.lease,
    }
}

pub(crate) fn event(event: Event) -> mvccpb::Event {
    let kind = if event.version.is_deletion() { EventType::Delete } else { EventType::Put };
    mvccpb::Event {
        r#type: kind.into(),
        // A deletion has 0 in all numbers but its revision already.
        kv: Some(key_value(Found { key: event.key, version: event.version })),
        prev_kv: event.previous.map(key_value),
    }
}

pub(crate) fn range_response(
    header: Option<pb::ResponseHeader>,
    answer: Answer,
) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: answer.found.into_iter().map(key_value).collect(),
        more: answer.more,
        count: count(answer.count),
    }
}

pub(crate) fn put_response(
    header: Option<pb::ResponseHeader>,
    previous: Option<Found>,
) -> pb::PutResponse {
    pb::PutResponse { header, prev_kv: previous.map(key_value) }
}

pub(crate) fn delete_response(
    header: Option<pb::ResponseHeader>,
    deleted: usize,
    previous: Vec<Found>,
) -> pb::DeleteRangeResponse {
    let prev_kvs = previous.into_iter().map(key_value).collect();
    pb::DeleteRangeResponse { header, deleted: count(deleted), prev_kvs }
}

pub(crate) fn txn_response(header: Option<pb::ResponseHeader>, reply: TxnReply) -> pb::TxnResponse {
    let responses = reply.replies.into_iter().map(response_op).collect();
    pb::TxnResponse { header, succeeded: reply.succeeded, responses }
}

fn response_op(reply: Reply) -> pb::ResponseOp {
    // Within a transaction, headers have the revision and nothing else.
    let header = |revision| Some(pb::ResponseHeader { revision, ..<_>::default() });
    let response = match reply {
        Reply::Range { revision, answer } => {
            Response::ResponseRange(range_response(header(revision), answer))
        }
        Reply::Put { revision, previous } => {
            Response::ResponsePut(put_response(header(revision), previous))
        }
        Reply::Delete { revision, deleted, previous } => {
            Response::ResponseDeleteRange(delete_response(header(revision), deleted, previous))
        }
        // A nested transaction's has not even that.
        Reply::Txn(reply) => Response::ResponseTxn(txn_response(header(0), reply)),
    };
    pb::ResponseOp { response: Some(response) }
}

pub(crate) fn alarm(alarm: Alarm) -> pb::AlarmType {
    match alarm {
        Alarm::NoSpace => pb::AlarmType::Nospace,
        Alarm::Corrupt => pb::AlarmType::Corrupt,
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
