//! What happens to users, as far as it concerns others.

use super::{User, UserId};

/// Something that happened to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEvent {
    /// There is a new one.
    Created(User),
    /// It was changed, and is now this.
    Updated(User),
    /// It was forgotten.
    Deleted(UserId),
}
