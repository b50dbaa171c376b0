//! How urgent a call is.
//!
//! # Source
//!
//! RFC 9218, section 4.1: urgency 0 to 7, lower is more urgent, 3 when nothing is said.

/// How urgent a call is; the most urgent is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

/// The number names no priority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("priority is `{urgency}`; use 0 (most urgent) to 7 (least)")]
pub struct InvalidPriority {
    /// What was given.
    pub urgency: u8,
}

impl Priority {
    /// Must not fail as long as anything works.
    pub const MOST_URGENT: Self = Self(0);
    /// May wait for quiet times, such as prefetching and batches.
    pub const LEAST_URGENT: Self = Self(7);

    /// The priority of this urgency, 0 to 7.
    ///
    /// # Errors
    ///
    /// [`InvalidPriority`] when it is more than 7.
    pub fn try_new(urgency: u8) -> Result<Self, InvalidPriority> {
        if urgency <= 7 { Ok(Self(urgency)) } else { Err(InvalidPriority { urgency }) }
    }

    /// The urgency, 0 to 7.
    pub fn urgency(self) -> u8 {
        self.0
    }
}

/// 3, as for requests that say nothing.
impl Default for Priority {
    fn default() -> Self {
        Self(3)
    }
}
