//! Who the caller is, as a verified token says.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a verified token says; cheap to clone. There is no way to make one from a token without
/// [`Verifier::verify`](crate::Verifier::verify).
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(Arc<Said>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) user_id: Box<str>,
    pub(crate) roles: Box<[Box<str>]>,
    pub(crate) expires: u64,
    pub(crate) issued: Option<u64>,
    pub(crate) not_before: Option<u64>,
    pub(crate) issuer: Option<Box<str>>,
}

impl Claims {
    pub(crate) fn new(said: Said) -> Self {
        Self(Arc::new(said))
    }

    pub(crate) fn said(&self) -> &Said {
        &self.0
    }

    /// Claims without a token, for tests of handlers.
    pub fn for_test(user_id: &str, roles: &[&str]) -> Self {
        Self::new(Said {
            user_id: user_id.into(),
            roles: roles.iter().map(|role| (*role).into()).collect(),
            expires: u64::MAX,
            issued: None,
            not_before: None,
            issuer: None,
        })
    }

    /// Who the caller is: `user_id`, or `sub` where there is none; a number as its digits.
    ///
    /// 1 to 255 visible ASCII characters, so it may go into a header as it is.
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// The user id as a number, where it is one.
    pub fn user_number(&self) -> Option<i64> {
        self.0.user_id.parse().ok()
    }

    /// What the caller may do; visible ASCII without commas, in the token's order.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.roles.iter().map(AsRef::as_ref)
    }

    /// Whether the caller has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.iter().any(|held| **held == *role)
    }

    /// `exp`: from this instant on the token is not accepted, but for the leeway.
    pub fn expires_at(&self) -> SystemTime {
        at(self.0.expires)
    }

    /// `iat`, where the token has it.
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.0.issued.map(at)
    }

    /// `iss`, where the token has it.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(crate::token::LAST_SECOND))
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("user_id", &self.0.user_id)
            .field("roles", &self.0.roles)
            .field("expires", &self.0.expires)
            .finish_non_exhaustive()
    }
}
