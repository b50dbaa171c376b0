//! An answer that says what is wrong, in plain text as Consul's.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use regatta_core::Chain;

use crate::registry::Rejection;
use crate::store::SubmitError;

/// An answer that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    text: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Another datacenter than this one is asked for, in Consul's words and with what to do.
    pub(crate) fn no_path(own: &str) -> Self {
        Self::internal(format!(
            "No path to datacenter; this one is `{own}`, ask for it or start it with `--datacenter`"
        ))
    }

    /// Consul answers 500 to what is well formed but means nothing here.
    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }
}

/// Marks an answer whose text is one of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worded;

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(Rejection::NothingToMaintain { .. }) => {
                Self::not_found(error.to_string())
            }
            SubmitError::Rejected(Rejection::Own { .. }) => Self::bad_request(error.to_string()),
            SubmitError::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            // The client is an operator here, so the disk's error helps and hides nothing.
            SubmitError::Log(_) => Self::internal(Chain(&error).to_string()),
            SubmitError::Rejected(_) => Self::internal(error.to_string()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let text = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        let mut response = (self.status, text, self.text).into_response();
        response.extensions_mut().insert(Worded);
        response
    }
}
