//! Pairs as Consul's clients read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::registry::Pair;

/// A pair as Consul's clients read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShownPair<'a> {
    lock_index: u64,
    key: &'a str,
    flags: u64,
    /// Base64; null when empty.
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    create_index: u64,
    modify_index: u64,
}

impl<'a> ShownPair<'a> {
    pub(crate) fn of(pair: &'a Pair) -> Self {
        let value = (!pair.value.is_empty()).then(|| STANDARD.encode(&pair.value));
        Self { value, ..Self::without_value(pair) }
    }

    /// As answers to changes show it.
    pub(crate) fn without_value(pair: &'a Pair) -> Self {
        Self {
            lock_index: pair.lock_index,
            key: &pair.key,
            flags: pair.flags,
            value: None,
            session: pair.session.as_deref(),
            create_index: pair.created,
            modify_index: pair.modified,
        }
    }
}

/// The bytes of a base64 text.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Base64 of these bytes; none of no bytes.
pub(crate) fn encoded(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| STANDARD.encode(bytes))
}

/// The keys, each cut behind the first separator that follows the prefix, and each once. They come
/// in the order of their bytes.
pub(crate) fn short_of_separator<'a>(
    keys: impl Iterator<Item = &'a str>,
    prefix_bytes: usize,
    separator: &str,
) -> Vec<String> {
    let mut short: Vec<String> = Vec::new();
    for key in keys {
        let found = (!separator.is_empty()).then(|| key.get(prefix_bytes..)?.find(separator));
        match found.flatten() {
            Some(at) => {
                let key = &key[..prefix_bytes + at + separator.len()];
                if short.last().is_none_or(|last| last != key) {
                    short.push(key.to_owned());
                }
            }
            None => short.push(key.to_owned()),
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_behind_the_first_separator_after_the_prefix() {
        let keys = ["a", "a/", "a/b", "a/c/d", "a/c/e", "ab/x"];
        let short = |prefix, separator| short_of_separator(keys.into_iter(), prefix, separator);
        assert_eq!(short(0, ""), keys);
        assert_eq!(short(0, "/"), ["a", "a/", "ab/"]);
        assert_eq!(short_of_separator(keys[1..5].iter().copied(), 2, "/"), ["a/", "a/b", "a/c/"]);
    }
}
