//! What entries are called: keys, tags, and patterns of keys.

use std::borrow::Borrow;
use std::fmt;

/// The longest key, tag or pattern, in bytes: names, not data.
const LONGEST: usize = 512;

/// The name of an entry, such as `user:42`: 1 to 512 bytes, no control characters, not beginning
/// with `~`, which backends use for names of their own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<str>);

/// A word that entries are marked with, to be dropped together; as a key is written.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

/// Names of keys with `*` for any run of characters, such as `user:*`; every other character stands
/// for itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

/// The text cannot name an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` cannot name a cache entry; use 1 to 512 bytes without control characters, and no \
     `~` at the beginning"
)]
pub struct InvalidKey {
    /// Its first 64 characters.
    pub shown: String,
}

fn check(text: &str) -> Result<Box<str>, InvalidKey> {
    let is_name = (1..=LONGEST).contains(&text.len())
        && !text.starts_with('~')
        && !text.chars().any(char::is_control);
    if is_name {
        Ok(text.into())
    } else {
        Err(InvalidKey { shown: text.chars().take(64).collect() })
    }
}

macro_rules! named {
    ($name:ident) => {
        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            ///
            /// [`InvalidKey`] when it cannot be one.
            pub fn try_new(text: impl AsRef<str>) -> Result<Self, InvalidKey> {
                check(text.as_ref()).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &self.0)
            }
        }
    };
}

named!(Key);
named!(Tag);
named!(Pattern);

/// So that a map by key is asked with a text.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// Whether the pattern fits the whole key.
    pub fn fits(&self, key: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = key.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // The earliest place leaves most for the parts after it.
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_bounded_and_printable() {
        for fine in ["user:42", "a", &"k".repeat(512), "ü ~"] {
            assert_eq!(Key::try_new(fine).unwrap().as_str(), fine);
        }
        for wrong in ["", "a\nb", "a\0", "~ver", &"k".repeat(513)] {
            assert!(Key::try_new(wrong).is_err(), "{wrong:?}");
        }
        let shown = Key::try_new("é".repeat(600)).unwrap_err().shown;
        assert_eq!(shown.chars().count(), 64);
    }

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, key, fits) in [
            ("user:*", "user:1", true),
            ("user:*", "user:", true),
            ("user:*", "users:1", false),
            ("*", "anything", true),
            ("*:1", "user:1", true),
            ("*:1", "user:11", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("user:1", "user:1", true),
            ("user:1", "user:12", false),
            ("u?er", "user", false),
            ("[a]*", "[a]b", true),
        ] {
            assert_eq!(Pattern::try_new(pattern).unwrap().fits(key), fits, "{pattern} {key}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_a_search_that_tries_everything_says(
            pattern in "[ab*]{1,8}", key in "[ab]{0,8}",
        ) {
            let fits = Pattern::try_new(&pattern).unwrap().fits(&key);
            prop_assert_eq!(fits, by_trial(pattern.as_bytes(), key.as_bytes()));
        }
    }

    fn by_trial(pattern: &[u8], key: &[u8]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some((b'*', rest)) => (0..=key.len()).any(|skip| by_trial(rest, &key[skip..])),
            Some((byte, rest)) => key.first() == Some(byte) && by_trial(rest, &key[1..]),
        }
    }
}
