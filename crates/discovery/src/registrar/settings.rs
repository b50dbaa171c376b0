//! What the operator may set about registration.

use std::time::Duration;

/// What the operator may set about registration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrarSettings {
    /// Time from one verification to the next. Default 10 s: a wiped registry is whole again well
    /// within [`LastKnown::GRACE`](crate::LastKnown::GRACE). At least 100 ms.
    pub verify_every: Duration,
    /// The longest wait before the first retry of a failed call; doubles with each further one.
    /// Default 500 ms. At least 1 ms.
    pub first_backoff: Duration,
    /// The longest wait between two retries. Default 10 s. At least `first_backoff`.
    pub max_backoff: Duration,
    /// How long one call may take. Default 5 s. More than 0.
    pub call_timeout: Duration,
    /// How long deregistering may take at drain. Default 2 s: the instance leaves by its check
    /// anyway when the registry is away.
    pub deregister_within: Duration,
}

/// A setting of the registrar is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}; set it to {least:?} or more")]
pub struct InvalidSettings {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: Duration,
    /// The least it may be.
    pub least: Duration,
}

impl Default for RegistrarSettings {
    fn default() -> Self {
        Self {
            verify_every: Duration::from_secs(10),
            first_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(10),
            call_timeout: Duration::from_secs(5),
            deregister_within: Duration::from_secs(2),
        }
    }
}

impl RegistrarSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let millis = Duration::from_millis;
        let ranges = [
            ("verify_every", self.verify_every, millis(100)),
            ("first_backoff", self.first_backoff, millis(1)),
            ("max_backoff", self.max_backoff, self.first_backoff),
            ("call_timeout", self.call_timeout, millis(1)),
        ];
        match ranges.into_iter().find(|(_, value, least)| value < least) {
            Some((name, value, least)) => Err(InvalidSettings { name, value, least }),
            None => Ok(()),
        }
    }
}
