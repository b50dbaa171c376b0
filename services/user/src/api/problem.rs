//! What the client is told when it cannot have what it asked for.

use regatta::{Code, Problem};
use serde_json::{Value, json};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::{Error, InvalidId, UserId};

/// Fields that are not right, with what is wrong; at least one.
pub(super) struct Violations(Vec<(&'static str, String)>);

impl Violations {
    /// Of the checked fields, those that have an error.
    pub(super) fn of<const N: usize>(fields: [(&'static str, Option<String>); N]) -> Self {
        let with_errors = fields.into_iter().filter_map(|(field, error)| Some((field, error?)));
        Self(with_errors.collect())
    }

    fn detail(&self) -> String {
        self.0.iter().map(|(_, error)| error.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl From<Violations> for Problem {
    fn from(violations: Violations) -> Self {
        let errors = violations.0.iter();
        let errors: Vec<Value> = errors
            .map(|(field, error)| json!({ "pointer": format!("/{field}"), "detail": error }))
            .collect();
        Self::invalid(violations.detail()).with_member("errors", errors)
    }
}

impl From<Violations> for Status {
    /// INVALID_ARGUMENT with a `google.rpc.BadRequest` that names each field.
    fn from(violations: Violations) -> Self {
        let mut details = ErrorDetails::new();
        for (field, error) in &violations.0 {
            details.add_bad_request_violation(*field, error);
        }
        let code = tonic::Code::InvalidArgument;
        Self::with_error_details(code, violations.detail(), details)
    }
}

impl From<InvalidId> for Violations {
    fn from(error: InvalidId) -> Self {
        Self::of([("user_id", Some(error.to_string()))])
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::EmailTaken => Self::conflict(error.to_string()).with_code("email_taken"),
            Error::Unavailable(_) => {
                let cause = regatta_core::Chain(&error);
                regatta::tracing::warn!(error = %cause, "a request failed");
                let detail = "the users cannot be reached now; try again";
                Self::unavailable(detail).with_member("retry_after", 1)
            }
            Error::Broken(_) => Self::internal(&error),
        }
    }
}

/// There is no user of this number.
pub(super) fn no_user(id: UserId) -> Problem {
    Problem::of(Code::NotFound, format!("there is no user `{id}`")).with_code("user_not_found")
}
