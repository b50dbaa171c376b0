//! A user, one to be, and a change of one.

use time::OffsetDateTime;

use super::{Email, Name, UserId};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number; never given to another user, also after it is deleted.
    pub id: UserId,
    /// What it is called.
    pub name: Name,
    /// Where it gets mail; no two users have the same.
    pub email: Email,
    /// When the store first knew it.
    pub created_at: OffsetDateTime,
}

/// A user that the store does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// What it is called.
    pub name: Name,
    /// Where it gets mail.
    pub email: Email,
}

/// What to change of a user; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The new name.
    pub name: Option<Name>,
    /// The new address.
    pub email: Option<Email>,
}

impl From<NewUser> for Change {
    /// The change that leaves nothing of before.
    fn from(NewUser { name, email }: NewUser) -> Self {
        Self { name: Some(name), email: Some(email) }
    }
}
