//! Keys of consistent hashing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// What of a call is its key in consistent hashing; whoever makes the call extracts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashOn {
    /// The value of this header, whose name is in lower case; a call without it has no key.
    Header(String),
    /// The value of this cookie; a call without it has no key.
    Cookie(String),
    /// Who the caller is, as rate limits know it: its id or else its address. The default.
    #[default]
    Client,
}

/// The text does not say what to hash on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is nothing to hash on; use header:NAME, cookie:NAME or client")]
pub struct InvalidHashOn {
    /// What was given.
    pub text: String,
}

impl FromStr for HashOn {
    type Err = InvalidHashOn;

    fn from_str(text: &str) -> Result<Self, InvalidHashOn> {
        // A token (RFC 9110, section 5.6.2), as names of headers and cookies are.
        let is_name = |name: &str| {
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            !name.is_empty() && name.bytes().all(is_token)
        };
        match text.split_once(':') {
            None if text == "client" => Ok(Self::Client),
            Some(("header", name)) if is_name(name) => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) if is_name(name) => Ok(Self::Cookie(name.to_owned())),
            _ => Err(InvalidHashOn { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for HashOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Client => f.write_str("client"),
        }
    }
}

impl<'de> Deserialize<'de> for HashOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The key of a text for [`Hints::with_key`](crate::cluster::Hints::with_key): a user's id, a
/// cookie's value, a client's address. The same in every process of every platform and version.
///
/// Whoever chooses the text can choose the instance; that is what the load bound is for.
///
/// # Source
///
/// FNV-1a, 64 bits (draft-eastlake-fnv), then the finalizer of SplitMix64 (Steele, Lea, Flood,
/// 2014), which spreads keys that differ in their last byte only.
pub fn hash_key(text: impl AsRef<[u8]>) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Spreads the bits of a number over all 64; each number has another.
pub(crate) fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints_and_names_what_it_cannot_read() {
        for text in ["header:x-user", "cookie:SID", "client"] {
            assert_eq!(text.parse::<HashOn>().unwrap().to_string(), text);
        }
        assert_eq!("header:X-User".parse(), Ok(HashOn::Header("x-user".to_owned())));
        for text in ["", "header", "header:", "cookie:a b", "Client", "path:x"] {
            let error = text.parse::<HashOn>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is nothing to hash on")), "{error}");
        }
    }

    #[test]
    fn a_key_is_the_same_for_ever() {
        // Replicas of different versions must agree on who owns a key.
        assert_eq!(hash_key(""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(hash_key("user-1"), hash_key(b"user-1"));
        assert_ne!(hash_key("user-1") >> 32, hash_key("user-2") >> 32);
    }
}
