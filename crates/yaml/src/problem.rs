//! What is wrong at a place in a YAML text.

use crate::Mark;

/// One thing that is wrong, where, and what to do about it.
///
/// The text of the message is not promised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mark}: {message}")]
pub struct Problem {
    /// Where.
    pub mark: Mark,
    /// What, and after `;` the remedy.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(mark: Mark, message: impl Into<String>) -> Self {
        Self { mark, message: message.into() }
    }
}
