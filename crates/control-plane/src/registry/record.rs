//! What one command changed, as it is kept on disk.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Delta, Key, Pair, Session, SessionSpec};

/// What one command changed at one index. Whole or absent after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The index after it.
    pub(crate) index: u64,
    pub(crate) deltas: Vec<Delta>,
}

/// The bytes are no record of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no record of this format")]
pub(crate) struct Malformed;

impl Record {
    /// The part that is kept on disk.
    pub(crate) fn durable(&self) -> Self {
        let deltas = self.deltas.iter().filter(|delta| delta.is_durable()).cloned().collect();
        Self { index: self.index, deltas }
    }

    /// The index and the durable changes: each a kind as one byte, then its length and its bytes.
    /// Pairs are bytes as they are; the other rows are JSON, in which members can be added.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.index.to_le_bytes().to_vec();
        for delta in &self.deltas {
            let (kind, row) = match delta {
                Delta::PutNode(node) => (1, json(&**node)),
                Delta::RemoveNode(name) => (2, name.clone().into_bytes()),
                Delta::PutService(service) => (3, json(&**service)),
                Delta::RemoveService(key) => (4, json(key)),
                Delta::PutCheck(check) => (5, json(&**check)),
                Delta::RemoveCheck(key) => (6, json(key)),
                Delta::PutKey(pair) => (7, pair_bytes(pair)),
                Delta::RemoveKey(key) => (8, key.as_bytes().to_vec()),
                Delta::PutSession(session) => {
                    (9, json(&(&*session.id, session.created, &session.spec)))
                }
                Delta::RemoveSession(id) => (10, id.as_bytes().to_vec()),
                Delta::Output(_) => continue,
            };
            out.push(kind);
            let length = u32::try_from(row.len()).expect("requests are far under 4 GiB");
            out.extend(length.to_le_bytes());
            out.extend(row);
        }
        out
    }

    /// The record that was encoded.
    pub(crate) fn decode(mut input: &[u8]) -> Result<Self, Malformed> {
        let index = u64::from_le_bytes(*chunk(&mut input)?);
        let mut deltas = Vec::new();
        while !input.is_empty() {
            let [kind] = *chunk(&mut input)?;
            let length = u32::from_le_bytes(*chunk(&mut input)?);
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            let row = input.split_off(..length).ok_or(Malformed)?;
            deltas.push(match kind {
                1 => Delta::PutNode(Arc::new(parsed(row)?)),
                2 => Delta::RemoveNode(text(row)?),
                3 => Delta::PutService(Arc::new(parsed(row)?)),
                4 => Delta::RemoveService(parsed::<Key>(row)?),
                5 => Delta::PutCheck(Arc::new(parsed(row)?)),
                6 => Delta::RemoveCheck(parsed::<Key>(row)?),
                7 => Delta::PutKey(Arc::new(pair(row)?)),
                8 => Delta::RemoveKey(text(row)?.into()),
                9 => {
                    let (id, created, spec) = parsed::<(String, u64, SessionSpec)>(row)?;
                    Delta::PutSession(Arc::new(Session { id: id.into(), created, spec }))
                }
                10 => Delta::RemoveSession(text(row)?.into()),
                _ => return Err(Malformed),
            });
        }
        Ok(Self { index, deltas })
    }
}

/// Four numbers, the holder and the key with their lengths, the value.
fn pair_bytes(pair: &Pair) -> Vec<u8> {
    let session = pair.session.as_deref().unwrap_or_default();
    let mut out = Vec::with_capacity(40 + session.len() + pair.key.len() + pair.value.len());
    for number in [pair.flags, pair.lock_index, pair.created, pair.modified] {
        out.extend(number.to_le_bytes());
    }
    for text in [session, &pair.key] {
        let length = u32::try_from(text.len()).expect("requests are far under 4 GiB");
        out.extend(length.to_le_bytes());
        out.extend(text.as_bytes());
    }
    out.extend(&pair.value);
    out
}

fn pair(mut row: &[u8]) -> Result<Pair, Malformed> {
    let mut number = || Ok(u64::from_le_bytes(*chunk(&mut row)?));
    let (flags, lock_index) = (number()?, number()?);
    let (created, modified) = (number()?, number()?);
    let mut short = || {
        let length = u32::from_le_bytes(*chunk(&mut row)?);
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        text(row.split_off(..length).ok_or(Malformed)?)
    };
    let (session, key) = (short()?, short()?);
    let session = (!session.is_empty()).then(|| session.into());
    // Copied, so that it does not keep the whole input in memory.
    let value = Bytes::copy_from_slice(row);
    Ok(Pair { key: key.into(), value, flags, lock_index, session, created, modified })
}

fn json(row: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(row).expect("rows have text keys only")
}

fn parsed<T: DeserializeOwned>(row: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(row).map_err(|_| Malformed)
}

fn text(row: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(row).map(str::to_owned).map_err(|_| Malformed)
}

fn chunk<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], Malformed> {
    let (first, rest) = input.split_first_chunk().ok_or(Malformed)?;
    *input = rest;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::registry::Behavior;

    fn any_delta() -> impl Strategy<Value = Delta> {
        let numbers = any::<[u64; 4]>();
        let key =
            (any::<String>(), prop::collection::vec(any::<u8>(), 0..9), "[a-f]{0,3}", numbers);
        prop_oneof![
            any::<String>().prop_map(Delta::RemoveNode),
            (any::<String>(), any::<String>())
                .prop_map(|(node, id)| Delta::RemoveService(Key { node, id })),
            any::<String>().prop_map(|key| Delta::RemoveKey(key.into())),
            any::<String>().prop_map(|id| Delta::RemoveSession(id.into())),
            key.prop_map(|(key, value, session, [flags, lock_index, created, modified])| {
                let session = (!session.is_empty()).then(|| session.into());
                let (key, value) = (key.into(), value.into());
                let pair = Pair { key, value, flags, lock_index, session, created, modified };
                Delta::PutKey(Arc::new(pair))
            }),
            (any::<String>(), any::<u64>(), any::<u32>()).prop_map(|(name, created, millis)| {
                let spec = SessionSpec {
                    name,
                    node: "n".to_owned(),
                    ttl: "10s".to_owned(),
                    behavior: Behavior::Delete,
                    lock_delay: Duration::from_millis(millis.into()),
                    node_checks: vec!["serfHealth".to_owned()],
                    service_checks: Vec::new(),
                };
                Delta::PutSession(Arc::new(Session { id: "id".into(), created, spec }))
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            index: u64,
            deltas in prop::collection::vec(any_delta(), 0..5),
        ) {
            let record = Record { index, deltas };
            prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = Record::decode(&bytes);
        }

        #[test]
        fn a_cut_record_is_refused_or_shorter(
            deltas in prop::collection::vec(any_delta(), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = Record { index: 1, deltas: deltas.clone() }.encode();
            let cut = &bytes[..cut.index(bytes.len())];
            if let Ok(record) = Record::decode(cut) {
                prop_assert!(record.deltas.len() < deltas.len());
            }
        }
    }
}
