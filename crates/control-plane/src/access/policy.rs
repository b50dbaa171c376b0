//! Everybody who is known, and what those may do who are not.

use std::collections::HashMap;
use std::sync::Arc;

use super::rules::{Grant, Rules};
use super::secret::{PasswordHash, TokenHash};

/// Everybody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) anonymous: Arc<Grant>,
    pub(crate) tokens: HashMap<TokenHash, Arc<Grant>>,
    pub(crate) users: HashMap<String, User>,
}

/// Somebody with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) password: PasswordHash,
    pub(crate) grant: Arc<Grant>,
}

impl Default for Policy {
    /// Nobody is known, and nobody may do anything.
    fn default() -> Self {
        let anonymous = Grant { name: "anonymous".to_owned(), rules: Rules::default() };
        Self { anonymous: Arc::new(anonymous), tokens: HashMap::new(), users: HashMap::new() }
    }
}
