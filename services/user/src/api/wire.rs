//! What goes over the wire, and how it becomes the domain's.

use serde::{Deserialize, Deserializer, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::problem::Violations;
use crate::domain::{Change, Email, Name, NewUser, User};

/// A user to be created, or all of a user to replace what was there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserFields {
    /// 1 to 100 characters; white space around it is dropped.
    #[schema(min_length = 1, max_length = 100, example = "Ada Lovelace")]
    pub(super) name: String,
    /// An address that no other user has, in upper or lower case.
    #[schema(format = "email", max_length = 100, example = "ada@example.org")]
    pub(super) email: String,
}

/// What to change of a user (JSON merge patch, RFC 7396); what is left out stays, and null is
/// refused: a user has a name and an address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// 1 to 100 characters; white space around it is dropped.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// An address that no other user has, in upper or lower case.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, format = "email", max_length = 100)]
    email: Option<String>,
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    /// 1 to 2147483647.
    user_id: i32,
    name: String,
    email: String,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    created_at: String,
}

/// A part of the list of users.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserPage {
    /// In order of their numbers.
    pub(super) users: Vec<UserBody>,
    /// The next page, as a path of this service; null on the last one. The header `Link` has it
    /// relative to the URL that was asked for.
    #[schema(example = "/admin/users?limit=20&after=20")]
    pub(super) next: Option<String>,
}

/// Which part of the list of users.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many users, 1 to 100; 20 unless given.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: Option<u16>,
    /// The number of the last user of the page before; the first page without it.
    #[param(minimum = 1)]
    pub(super) after: Option<i32>,
}

impl UserFields {
    /// Checks both fields and tells of both.
    pub(super) fn check(&self) -> Result<NewUser, Violations> {
        match (Name::try_new(&self.name), Email::try_new(&self.email)) {
            (Ok(name), Ok(email)) => Ok(NewUser { name, email }),
            (name, email) => Err(Violations::of([
                ("name", name.err().map(|error| error.to_string())),
                ("email", email.err().map(|error| error.to_string())),
            ])),
        }
    }
}

impl UserChange {
    /// Checks the fields that are there and tells of both.
    pub(super) fn check(&self) -> Result<Change, Violations> {
        let name = self.name.as_deref().map(Name::try_new).transpose();
        let email = self.email.as_deref().map(Email::try_new).transpose();
        match (name, email) {
            (Ok(name), Ok(email)) => Ok(Change { name, email }),
            (name, email) => Err(Violations::of([
                ("name", name.err().map(|error| error.to_string())),
                ("email", email.err().map(|error| error.to_string())),
            ])),
        }
    }
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id.number(),
            name: user.name.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            // The years 0 to 9999 can be written; the store makes no others.
            created_at: user.created_at.format(&Rfc3339).unwrap_or_default(),
        }
    }
}

/// A field that is there; null is an error, not absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}
