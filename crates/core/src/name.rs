//! Names of services and of their instances.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name that callers use for a service; a DNS label, so that it works as a host name too.
///
/// 1 to 63 characters of `a-z`, `0-9` and `-`, beginning with a letter, not ending with `-`
/// (RFC 1035, section 2.3.1). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

/// The text is not a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a service name; use 1 to 63 of a-z, 0-9 and `-`, beginning with a letter and \
     not ending with `-`"
)]
pub struct InvalidName {
    /// What was given.
    pub text: String,
}

impl ServiceName {
    /// Checks the text.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when it is not a DNS label.
    pub fn try_new(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let valid = (1..=63).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes[bytes.len() - 1] != b'-'
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if valid { Ok(Self(text.into())) } else { Err(InvalidName { text: text.to_owned() }) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_new(text)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The id of one instance, unique in the registry; any text without control characters.
///
/// Clients nobody here wrote choose their own ids, so the form is free. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Takes the text as it is.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_a_service_name() {
        for text in ["a", "user-service", "v2", &"a".repeat(63)] {
            assert_eq!(ServiceName::try_new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_rule() {
        for text in ["", "User", "user_service", "-a", "a-", "1a", "a.b", "ü", &"a".repeat(64)] {
            let error = ServiceName::try_new(text).unwrap_err();
            assert!(error.to_string().contains("1 to 63"), "{error}");
        }
    }
}
