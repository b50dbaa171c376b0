//! A row of the table, and its errors in the domain's words.

use regatta_database as database;
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::OffsetDateTime;

use crate::domain::{Email, Error, Name, User, UserId};

pub(super) struct Row {
    id: i64,
    name: String,
    email: String,
    created_at: OffsetDateTime,
}

// By hand: sqlx's derive would have sqlx, its drivers and their TLS built twice.
impl<'r, R> FromRow<'r, R> for Row
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    OffsetDateTime: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            created_at: row.try_get("created_at")?,
        })
    }
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
