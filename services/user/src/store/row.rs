//! A row of the table, and its errors in the domain's words.

use regatta_database as database;
use time::OffsetDateTime;

use crate::domain::{Email, Error, Name, User, UserId};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: i64,
    name: String,
    email: String,
    created_at: OffsetDateTime,
}

impl Row {
    pub(super) fn into_user(self) -> Result<User, Error> {
        Ok(User {
            id: UserId::try_new(self.id).map_err(|error| Error::Broken(error.into()))?,
            name: Name::try_new(&self.name).map_err(|error| Error::Broken(error.into()))?,
            email: Email::try_new(&self.email).map_err(|error| Error::Broken(error.into()))?,
            created_at: self.created_at,
        })
    }
}

pub(super) fn domain_error(error: database::Error) -> Error {
    if error.violates("users_email_key") {
        return Error::EmailTaken;
    }
    match error.origin() {
        regatta_core::Origin::Upstream => Error::Unavailable(error.into()),
        _ => Error::Broken(error.into()),
    }
}
