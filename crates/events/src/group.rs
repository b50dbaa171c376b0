//! The name of a consumer group.

use std::fmt;

/// A consumer group: 1 to 64 of `a-z`, `A-Z`, `0-9`, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(String);

/// The text does not name a consumer group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a consumer group; use 1 to 64 of a-z, A-Z, 0-9, `-` and `_`")]
pub struct InvalidGroup(pub String);

impl GroupName {
    /// Checks the name. By convention it is the service's, with what it does: `order-service-mail`.
    ///
    /// # Errors
    ///
    /// [`InvalidGroup`] with what was given.
    pub fn try_new(name: impl Into<String>) -> Result<Self, InvalidGroup> {
        let name = name.into();
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if is_name { Ok(Self(name)) } else { Err(InvalidGroup(name)) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_so_that_every_broker_takes_it() {
        for wrong in ["", "a b", "a.b", "a>", &"a".repeat(65)] {
            assert_eq!(GroupName::try_new(wrong), Err(InvalidGroup(wrong.to_owned())));
        }
        assert_eq!(
            GroupName::try_new("order-service_Mail2").unwrap().as_str(),
            "order-service_Mail2"
        );
    }
}
