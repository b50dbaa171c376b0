//! Keeps web pages from calling the registry through their reader's browser.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::failure::Failure;
use crate::web_pages::{origin, public_host};

/// Answers 403 to a call of the API that a web page may have caused. Health and metrics are read by
/// whoever likes: they change nothing.
///
/// # Cancel safety
///
/// As the call's own.
pub(crate) async fn refuse_web_pages(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/v1/");
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let cause = origin(request.headers()).or_else(|| public_host(request.headers(), authority));
    match cause.filter(|_| is_api) {
        Some(cause) => Failure::new(StatusCode::FORBIDDEN, cause).into_response(),
        None => next.run(request).await,
    }
}
