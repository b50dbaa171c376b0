//! The store as a file that etcd's own tools read and restore.

use prost::Message;
use regatta_proto::mvccpb::KeyValue;

use super::bolt::Bolt;
use super::wire;
use crate::kv::{Found, State, Version};

/// A lease, as etcd keeps it on disk.
#[derive(Clone, PartialEq, Message)]
struct StoredLease {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
}

/// The file's bytes. The checksum that follows it in a stream is not in them.
pub(crate) fn file(state: &State) -> Vec<u8> {
    let mut bolt = Bolt::default();
    for empty in ["alarm", "auth", "authRoles", "authUsers", "cluster"] {
        bolt.add(empty, std::iter::empty());
    }
    bolt.add("key", versions(state).into_iter());
    let leases = state
        .leases()
        .granted()
        .map(|(id, ttl)| (id.to_be_bytes().to_vec(), StoredLease { id, ttl }.encode_to_vec()));
    bolt.add("lease", leases);
    bolt.add("members", std::iter::empty());
    bolt.add("members_removed", std::iter::empty());
    let mut meta = vec![(b"consistent_index".to_vec(), state.applied().to_be_bytes().to_vec())];
    if state.compacted() > 0 {
        let compacted = revision_key(state.compacted(), 0);
        meta.push((b"finishedCompactRev".to_vec(), compacted.clone()));
        meta.push((b"scheduledCompactRev".to_vec(), compacted));
    }
    bolt.add("meta", meta.into_iter());
    bolt.finish()
}

/// Every version under its revision, in their order.
fn versions(state: &State) -> Vec<(Vec<u8>, Vec<u8>)> {
    let versions = state.histories().flat_map(|(key, history)| {
        history.versions().iter().map(move |version| (version.revision, key, version))
    });
    let mut versions: Vec<_> = versions.collect();
    versions.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let (mut last, mut place) = (0, 0);
    let mut pairs = Vec::with_capacity(versions.len());
    for (revision, key, version) in versions {
        place = if revision == last { place + 1 } else { 0 };
        last = revision;
        let mut name = revision_key(revision, place);
        if version.is_deletion() {
            name.push(b't');
        }
        pairs.push((name, value(key, version)));
    }
    pairs
}

fn value(key: &bytes::Bytes, version: &Version) -> Vec<u8> {
    if version.is_deletion() {
        return KeyValue { key: key.clone(), ..KeyValue::default() }.encode_to_vec();
    }
    wire::key_value(Found { key: key.clone(), version: version.clone() }).encode_to_vec()
}

/// A revision and the place within it, so that bytes are in the order of time.
fn revision_key(revision: i64, place: i64) -> Vec<u8> {
    let mut key = revision.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend(place.to_be_bytes());
    key
}
