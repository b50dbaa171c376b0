//! Entries as bytes and back.

use bytes::Bytes;

use crate::kv::entry::{Alarm, Change, Entry, Identity};
use crate::kv::history::Version;
use crate::registry::Record;

/// The bytes are no entry of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no entry of this format")]
pub(crate) struct Malformed;

/// Appends an entry: its kind as one byte, then its fields; numbers little-endian, bytes with
/// their length before them.
pub(crate) fn encode(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Started(identity) => {
            out.push(1);
            let numbers = [identity.cluster, identity.member, identity.term];
            numbers.into_iter().for_each(|number| put(out, number));
        }
        Entry::Written { revision, changes } => {
            out.push(2);
            put_signed(out, *revision);
            put_length(out, changes.len());
            for change in changes {
                match change {
                    Change::Put { key, value, lease } => {
                        out.push(1);
                        put_bytes(out, key);
                        put_bytes(out, value);
                        put_signed(out, *lease);
                    }
                    Change::Delete { key } => {
                        out.push(0);
                        put_bytes(out, key);
                    }
                }
            }
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
        Entry::Numbers { revision, compacted, applied } => {
            out.push(7);
            put_signed(out, *revision);
            put_signed(out, *compacted);
            put(out, *applied);
        }
        Entry::Kept { key, version } => {
            out.push(8);
            put_bytes(out, key);
            let Version { revision, created, version, lease, value } = version;
            let numbers = [revision, created, version, lease];
            numbers.into_iter().for_each(|number| put_signed(out, *number));
            put_bytes(out, value);
        }
        Entry::Order { revision, keys } => {
            out.push(9);
            put_signed(out, *revision);
            put_list(out, keys);
        }
        Entry::Registry(record) => {
            out.push(10);
            put_bytes(out, &record.encode());
        }
    }
}

/// Takes one entry off the front. Keys and values are copied, so that they do not keep the whole
/// input in memory.
pub(crate) fn decode(input: &mut &[u8]) -> Result<Entry, Malformed> {
    Ok(match byte(input)? {
        1 => Entry::Started(Identity {
            cluster: number(input)?,
            member: number(input)?,
            term: number(input)?,
        }),
        2 => {
            let revision = signed(input)?;
            let changes = (0..length(input)?).map(|_| change(input)).collect::<Result<_, _>>()?;
            Entry::Written { revision, changes }
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
        7 => Entry::Numbers {
            revision: signed(input)?,
            compacted: signed(input)?,
            applied: number(input)?,
        },
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
        _ => return Err(Malformed),
    })
}

fn change(input: &mut &[u8]) -> Result<Change, Malformed> {
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

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend(bytes);
}

fn put_list(out: &mut Vec<u8>, keys: &[Bytes]) {
    put_length(out, keys.len());
    keys.iter().for_each(|key| put_bytes(out, key));
}

fn byte(input: &mut &[u8]) -> Result<u8, Malformed> {
    input.split_off_first().copied().ok_or(Malformed)
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
        let change =
            prop_oneof![
                any_bytes().prop_map(|key| Change::Delete { key }),
                (any_bytes(), any_bytes(), any::<i64>())
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
            (any::<i64>(), any::<i64>(), any::<u64>()).prop_map(
                |(revision, compacted, applied)| Entry::Numbers { revision, compacted, applied }
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
            let mut out = Vec::new();
            entries.iter().for_each(|entry| encode(entry, &mut out));
            let mut input = &*out;
            for entry in &entries {
                prop_assert_eq!(&decode(&mut input).unwrap(), entry);
            }
            prop_assert!(input.is_empty());
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut input = &*bytes;
            while !input.is_empty() && decode(&mut input).is_ok() {}
        }
    }
}
