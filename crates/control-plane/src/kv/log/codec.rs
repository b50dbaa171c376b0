//! Entries as bytes and back.

use bytes::Bytes;

use super::fields::{self, Before, byte, put_bytes, put_number};
use crate::kv::entry::{Alarm, Change, Entry, Identity};
use crate::kv::history::Version;
use crate::registry::Record;

/// The bytes are no entry of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no entry of this format")]
pub(crate) struct Malformed;

/// What happens to a key, in its first byte.
const DELETED: u8 = 0;
const PUT: u8 = 1;
const PUT_WITH_LEASE: u8 = 2;

/// Appends an entry: its kind as one byte, then its fields. Those that there are many of lean on
/// the entry before in their frame; the others are little-endian numbers, and bytes with their
/// length before them.
pub(super) fn encode(entry: &Entry, before: &mut Before, out: &mut Vec<u8>) {
    match entry {
        Entry::Started(identity) => {
            out.push(1);
            let numbers = [identity.cluster, identity.member, identity.term];
            numbers.into_iter().for_each(|number| put(out, number));
        }
        Entry::Granted { id, ttl } => {
            out.push(3);
            put_signed(out, *id);
            put_signed(out, *ttl);
        }
        Entry::Revoked { id, revision, keys } => {
            out.push(4);
            put_signed(out, *id);
            put_signed(out, *revision);
            put_list(out, keys);
        }
        Entry::Compacted { revision } => {
            out.push(5);
            put_signed(out, *revision);
        }
        Entry::Alarm { alarm, member, is_raised } => {
            let alarm = match alarm {
                Alarm::NoSpace => 1,
                Alarm::Corrupt => 2,
            };
            out.extend([6, alarm, u8::from(*is_raised)]);
            put(out, *member);
        }
        Entry::Order { revision, keys } => {
            out.push(9);
            put_signed(out, *revision);
            put_list(out, keys);
        }
        Entry::Registry(record) => {
            out.push(10);
            let record = record.encode();
            put_length(out, record.len());
            out.extend(record);
        }
        Entry::Written { revision, changes } => {
            out.push(11);
            before.put_revision(out, *revision);
            put_number(out, changes.len() as u64);
            changes.iter().for_each(|change| put_change(change, before, out));
        }
        Entry::Numbers { revision, compacted, applied, first_change } => {
            out.push(12);
            put_signed(out, *revision);
            put_signed(out, *compacted);
            put(out, *applied);
            put_signed(out, *first_change);
        }
        Entry::Kept { key, version } => {
            out.push(13);
            before.put_key(out, 0, key);
            let Version { revision, created, version, lease, value } = version;
            before.put_revision(out, *revision);
            let age = revision.wrapping_sub(*created);
            [age, *version, *lease].iter().for_each(|number| fields::put_signed(out, *number));
            put_bytes(out, value);
        }
    }
}

/// Takes one entry off the front. Keys and values are copied, so that they do not keep the whole
/// input in memory.
pub(super) fn decode(input: &mut &[u8], before: &mut Before) -> Result<Entry, Malformed> {
    Ok(match byte(input)? {
        1 => Entry::Started(Identity {
            cluster: number(input)?,
            member: number(input)?,
            term: number(input)?,
        }),
        // Written until 0.1 had kind 11.
        2 => {
            let revision = signed(input)?;
            let changes = (0..length(input)?).map(|_| old_change(input)).collect::<Result<_, _>>();
            Entry::Written { revision, changes: changes? }
        }
        3 => Entry::Granted { id: signed(input)?, ttl: signed(input)? },
        4 => Entry::Revoked { id: signed(input)?, revision: signed(input)?, keys: list(input)? },
        5 => Entry::Compacted { revision: signed(input)? },
        6 => {
            let alarm = match byte(input)? {
                1 => Alarm::NoSpace,
                2 => Alarm::Corrupt,
                _ => return Err(Malformed),
            };
            let is_raised = byte(input)? != 0;
            Entry::Alarm { alarm, is_raised, member: number(input)? }
        }
        // The same for kind 12: the order of every revision came behind it.
        7 => {
            let (revision, compacted) = (signed(input)?, signed(input)?);
            let first_change = revision.saturating_add(1);
            Entry::Numbers { revision, compacted, applied: number(input)?, first_change }
        }
        // And for kind 13.
        8 => {
            let key = bytes(input)?;
            let [revision, created, version, lease] =
                [signed(input)?, signed(input)?, signed(input)?, signed(input)?];
            let value = bytes(input)?;
            Entry::Kept { key, version: Version { revision, created, version, lease, value } }
        }
        9 => Entry::Order { revision: signed(input)?, keys: list(input)? },
        10 => {
            let length = length(input)?;
            let record = input.split_off(..length).ok_or(Malformed)?;
            Entry::Registry(Record::decode(record).map_err(|_| Malformed)?)
        }
        11 => {
            let revision = before.revision(input)?;
            let changes = (0..fields::number(input)?).map(|_| change(input, before));
            Entry::Written { revision, changes: changes.collect::<Result<_, _>>()? }
        }
        12 => Entry::Numbers {
            revision: signed(input)?,
            compacted: signed(input)?,
            applied: number(input)?,
            first_change: signed(input)?,
        },
        13 => {
            let (_, key) = before.key(input)?;
            let revision = before.revision(input)?;
            let created = revision.wrapping_sub(fields::signed(input)?);
            let (version, lease) = (fields::signed(input)?, fields::signed(input)?);
            let value = fields::bytes(input)?;
            Entry::Kept { key, version: Version { revision, created, version, lease, value } }
        }
        _ => return Err(Malformed),
    })
}

fn put_change(change: &Change, before: &mut Before, out: &mut Vec<u8>) {
    match change {
        Change::Delete { key } => before.put_key(out, DELETED, key),
        Change::Put { key, value, lease: 0 } => {
            before.put_key(out, PUT, key);
            put_bytes(out, value);
        }
        Change::Put { key, value, lease } => {
            before.put_key(out, PUT_WITH_LEASE, key);
            put_bytes(out, value);
            fields::put_signed(out, *lease);
        }
    }
}

fn change(input: &mut &[u8], before: &mut Before) -> Result<Change, Malformed> {
    Ok(match before.key(input)? {
        (DELETED, key) => Change::Delete { key },
        (PUT, key) => Change::Put { key, value: fields::bytes(input)?, lease: 0 },
        (PUT_WITH_LEASE, key) => {
            let value = fields::bytes(input)?;
            Change::Put { key, value, lease: fields::signed(input)? }
        }
        _ => return Err(Malformed),
    })
}

fn old_change(input: &mut &[u8]) -> Result<Change, Malformed> {
    Ok(match byte(input)? {
        0 => Change::Delete { key: bytes(input)? },
        1 => Change::Put { key: bytes(input)?, value: bytes(input)?, lease: signed(input)? },
        _ => return Err(Malformed),
    })
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    out.extend(number.to_le_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("requests are far under 4 GiB");
    out.extend(length.to_le_bytes());
}

fn put_list(out: &mut Vec<u8>, keys: &[Bytes]) {
    put_length(out, keys.len());
    for key in keys {
        put_length(out, key.len());
        out.extend(key);
    }
}

fn number(input: &mut &[u8]) -> Result<u64, Malformed> {
    let (first, rest) = input.split_first_chunk().ok_or(Malformed)?;
    *input = rest;
    Ok(u64::from_le_bytes(*first))
}

fn signed(input: &mut &[u8]) -> Result<i64, Malformed> {
    number(input).map(u64::cast_signed)
}

fn length(input: &mut &[u8]) -> Result<usize, Malformed> {
    let (first, rest) = input.split_first_chunk().ok_or(Malformed)?;
    *input = rest;
    usize::try_from(u32::from_le_bytes(*first)).map_err(|_| Malformed)
}

fn bytes(input: &mut &[u8]) -> Result<Bytes, Malformed> {
    let length = length(input)?;
    input.split_off(..length).map(Bytes::copy_from_slice).ok_or(Malformed)
}

fn list(input: &mut &[u8]) -> Result<Vec<Bytes>, Malformed> {
    (0..length(input)?).map(|_| bytes(input)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_bytes() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Bytes::from)
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let keys = || prop::collection::vec(any_bytes(), 0..4);
        let change = prop_oneof![
            any_bytes().prop_map(|key| Change::Delete { key }),
            (any_bytes(), any_bytes(), prop_oneof![Just(0), any::<i64>()])
                .prop_map(|(key, value, lease)| Change::Put { key, value, lease }),
        ];
        prop_oneof![
            (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(cluster, member, term)| {
                Entry::Started(Identity { cluster, member, term })
            }),
            (any::<i64>(), prop::collection::vec(change, 0..4))
                .prop_map(|(revision, changes)| Entry::Written { revision, changes }),
            (any::<i64>(), any::<i64>()).prop_map(|(id, ttl)| Entry::Granted { id, ttl }),
            (any::<i64>(), any::<i64>(), keys()).prop_map(|(id, revision, keys)| Entry::Revoked {
                id,
                revision,
                keys
            }),
            any::<i64>().prop_map(|revision| Entry::Compacted { revision }),
            (any::<u64>(), any::<bool>()).prop_map(|(member, is_raised)| {
                Entry::Alarm { alarm: Alarm::NoSpace, member, is_raised }
            }),
            (any::<u64>(), any::<bool>()).prop_map(|(member, is_raised)| {
                Entry::Alarm { alarm: Alarm::Corrupt, member, is_raised }
            }),
            (any::<i64>(), any::<i64>(), any::<u64>(), any::<i64>()).prop_map(
                |(revision, compacted, applied, first_change)| {
                    Entry::Numbers { revision, compacted, applied, first_change }
                }
            ),
            (any_bytes(), any::<[i64; 4]>(), any_bytes()).prop_map(|(key, numbers, value)| {
                let [revision, created, version, lease] = numbers;
                Entry::Kept { key, version: Version { revision, created, version, lease, value } }
            }),
            (any::<i64>(), keys()).prop_map(|(revision, keys)| Entry::Order { revision, keys }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(entries in prop::collection::vec(any_entry(), 0..6)) {
            let (mut out, mut before) = (Vec::new(), Before::default());
            entries.iter().for_each(|entry| encode(entry, &mut before, &mut out));
            let (mut input, mut before) = (&*out, Before::default());
            for entry in &entries {
                prop_assert_eq!(&decode(&mut input, &mut before).unwrap(), entry);
            }
            prop_assert!(input.is_empty());
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let (mut input, mut before) = (&*bytes, Before::default());
            while !input.is_empty() && decode(&mut input, &mut before).is_ok() {}
        }
    }

    #[test]
    fn what_builds_before_wrote_is_read() {
        let number = |number: i64| number.to_le_bytes().to_vec();
        let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let put = [vec![1], text("k"), text("v"), number(9)].concat();
        let delete = [vec![0], text("l")].concat();
        let written = [vec![2], number(5), vec![2, 0, 0, 0], put, delete].concat();
        let numbers = [vec![7], number(5), number(-1), number(3)].concat();
        let kept = [number(5), number(4), number(2), number(9)].concat();
        let kept = [vec![8], text("k"), kept, text("v")].concat();
        let old = [written, numbers, kept].concat();
        let (mut input, mut before) = (&*old, Before::default());
        let read = std::array::from_fn(|_| decode(&mut input, &mut before).unwrap());
        let [key, value] = ["k", "v"].map(Bytes::from);
        let version =
            Version { revision: 5, created: 4, version: 2, lease: 9, value: value.clone() };
        let changes = vec![
            Change::Put { key: key.clone(), value, lease: 9 },
            Change::Delete { key: "l".into() },
        ];
        let entries = [
            Entry::Written { revision: 5, changes },
            Entry::Numbers { revision: 5, compacted: -1, applied: 3, first_change: 6 },
            Entry::Kept { key, version },
        ];
        assert_eq!((read, input.len()), (entries, 0));
    }

    #[test]
    fn an_entry_takes_little_more_than_its_key_and_its_value() {
        let (mut out, mut before) = (Vec::new(), Before::default());
        let (key, value) =
            (Bytes::from("/services/settings/00000001"), Bytes::from(vec![b'x'; 256]));
        let changes = vec![Change::Put { key: key.clone(), value: value.clone(), lease: 0 }];
        encode(&Entry::Written { revision: 100_000, changes }, &mut before, &mut out);
        assert_eq!(out.len(), 27 + 256 + 9);
        out.clear();
        let version = Version { revision: 100_001, created: 100_001, version: 1, lease: 0, value };
        encode(&Entry::Kept { key, version }, &mut before, &mut out);
        assert_eq!(out.len(), 256 + 9);
    }
}
