//! What fuzz targets call: everything that reads what others send.

use std::time::Instant;

use prost::Message;
use regatta_proto::etcdserverpb as pb;

use crate::access;
use crate::etcd::wire;
use crate::kv::{KeyRange, Limits, Query, State, Transition};

/// Requests of etcd's clients, read and carried out one after the other: the first byte of each
/// part says which it is. Nothing panics, revisions never go back, and what was refused changed
/// nothing.
pub fn etcd_requests(bytes: &[u8], now: Instant) {
    let mut state = State::default();
    let mut entries = Vec::new();
    let limits = Limits { txn_operations: 128, leases: 16, quota_bytes: 1 << 20 };
    for part in bytes.split(|byte| *byte == 0xff) {
        let Some((kind, message)) = part.split_first() else { continue };
        let before = state.revision();
        let mut transition = Transition::new(&mut state, &mut entries, limits, now);
        let is_done = match kind % 6 {
            0 => match pb::TxnRequest::decode(message).map(wire::txn) {
                Ok(Ok(txn)) => transition.txn(&txn).is_ok(),
                _ => false,
            },
            1 => match pb::PutRequest::decode(message).map(wire::put) {
                Ok(Ok(put)) => transition.operation(crate::kv::Operation::Put(put)).is_ok(),
                _ => false,
            },
            2 => match pb::DeleteRangeRequest::decode(message).map(wire::delete) {
                Ok(Ok(delete)) => {
                    transition.operation(crate::kv::Operation::Delete(delete)).is_ok()
                }
                _ => false,
            },
            3 => match pb::LeaseGrantRequest::decode(message) {
                Ok(request) => transition.grant(request.id, 1, request.ttl).is_ok(),
                Err(_) => false,
            },
            4 => match pb::CompactionRequest::decode(message) {
                Ok(request) => transition.compact(request.revision).is_ok(),
                Err(_) => false,
            },
            _ => {
                if let Ok(Ok(query)) = pb::RangeRequest::decode(message).map(wire::query) {
                    let _refused = state.query(&query, before);
                }
                false
            }
        };
        let after = state.revision();
        assert!(after == before || (is_done && after == before + 1), "{before} to {after}");
        let all = Query::all(KeyRange::new(vec![0].into(), vec![0].into()));
        assert!(state.query(&all, after).is_ok(), "the latest is always readable");
    }
    // What would be on the disk makes the same state again.
    let mut again = State::default();
    entries.iter().for_each(|entry| again.apply(now, entry));
    assert_eq!((again.revision(), again.bytes()), (state.revision(), state.bytes()));
}

/// A call of etcd's JSON gateway: read or refused, and shown as it was read.
pub fn etcd_json(call: u8, body: &[u8]) {
    crate::etcd::json::there_and_back(usize::from(call), body);
}

/// What comes first on a connection: passed on as it came, but for an authority that is a URL, and
/// the same in one piece as in many.
pub fn first_head(bytes: &[u8], cut: usize) {
    let whole = crate::accept::passed_on(std::iter::once(bytes));
    let parts = crate::accept::passed_on(bytes.chunks(cut.max(1)));
    assert_eq!(whole, parts);
    assert!(whole.len() <= bytes.len() + 10, "what is put in place is short");
}

/// A file of the log: read or refused.
pub fn log_file(bytes: &[u8]) {
    let _is_read = crate::kv::read_log(bytes);
}

/// An access file: read, or refused with a place for each problem.
pub fn access_file(text: &str) {
    if let Err(problems) = access::parse(text) {
        assert!(!problems.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// A message that is one of its kind, more often than bytes alone would be.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let key = || prop::collection::vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'b')], 0..3);
        prop_oneof![
            (key(), key(), -2..9_i64).prop_map(|(key, value, lease)| {
                let (key, value) = (key.into(), value.into());
                let put = pb::PutRequest { key, value, lease, ..<_>::default() };
                [vec![1], put.encode_to_vec()].concat()
            }),
            (key(), key()).prop_map(|(key, end)| {
                let (key, range_end) = (key.into(), end.into());
                let delete = pb::DeleteRangeRequest { key, range_end, prev_kv: false };
                [vec![2], delete.encode_to_vec()].concat()
            }),
            (-2..9_i64, -9..9_i64).prop_map(|(id, ttl)| {
                [vec![3], pb::LeaseGrantRequest { id, ttl }.encode_to_vec()].concat()
            }),
            (-2..9_i64).prop_map(|revision| {
                let compact = pb::CompactionRequest { revision, physical: false };
                [vec![4], compact.encode_to_vec()].concat()
            }),
            prop::collection::vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        #[test]
        fn any_requests_are_answered_or_refused(
            messages in prop::collection::vec(message(), 0..12),
        ) {
            etcd_requests(&messages.join(&0xff), now());
        }

        #[test]
        fn any_file_is_read_or_refused(bytes: Vec<u8>, text: String) {
            log_file(&bytes);
            access_file(&text);
        }
    }
}
