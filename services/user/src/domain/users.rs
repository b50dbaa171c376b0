//! The port to the store of users.

use async_trait::async_trait;

use super::{Change, NewUser, User, UserId};

/// Keeps users. What it has acknowledged survives a crash, and so does what is told of it: a change
/// and its message are kept together or not at all.
///
/// Implementations pass every check of the conformance suite (`tests/it/conformance.rs`).
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// Keeps a new user and gives it a number.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`]; nothing was kept then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have kept the user.
    async fn create(&self, user: NewUser) -> Result<User, Error>;

    /// Finds a user.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn get(&self, id: UserId) -> Result<Option<User>, Error>;

    /// Changes a user and answers it as it is now; none when there is no such user.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`]; nothing was changed then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have changed the user.
    async fn update(&self, id: UserId, change: Change) -> Result<Option<User>, Error>;

    /// Forgets a user; false when there is no such user.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have forgotten the user.
    async fn delete(&self, id: UserId) -> Result<bool, Error>;

    /// The users after this number in order of their numbers, at most `size` of them.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] or [`Error::Broken`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    async fn page(&self, after: Option<UserId>, size: PageSize) -> Result<Vec<User>, Error>;
}

/// How many users a page has: 1 to 100, 20 unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// The largest page.
    pub const MAX: u16 = 100;

    /// Checks the range; none outside of it.
    pub fn try_new(size: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&size).then_some(Self(size))
    }

    /// The number itself.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(20)
    }
}

/// A cause that the domain does not look into.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another user has this address, in upper or lower case.
    #[error("the e-mail address belongs to another user; use another one")]
    EmailTaken,
    /// The store cannot be reached or is busy; later it may work.
    #[error("the store of users does not answer")]
    Unavailable(#[source] Cause),
    /// The store answered what it must not: a bug.
    #[error("the store of users failed")]
    Broken(#[source] Cause),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded() {
        assert_eq!(PageSize::default().number(), 20);
        assert_eq!(PageSize::try_new(0), None);
        assert_eq!(PageSize::try_new(100).map(PageSize::number), Some(100));
        assert_eq!(PageSize::try_new(101), None);
    }
}
