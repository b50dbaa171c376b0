//! Turns errors that are not problems yet into problems.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};

use super::future::Asked;
use crate::rest::{IsProblem, Problem};

/// Longest text that becomes a problem's detail, in bytes; a longer one is an answer of its own.
const LONGEST_TEXT: usize = 4096;

/// Whether this answer is an error in plain text or without a body, as axum's own rejections,
/// its 404 and its 405 are.
pub(super) fn is_plain_error(response: &Response) -> bool {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return false;
    }
    let is_text = match response.headers().get(header::CONTENT_TYPE) {
        Some(media) => media.as_bytes().starts_with(b"text/plain"),
        None => response.body().size_hint().exact() == Some(0),
    };
    let is_short = response.body().size_hint().upper().is_some_and(|n| n <= LONGEST_TEXT as u64);
    is_text && is_short && response.extensions().get::<IsProblem>().is_none()
}

/// The same error as a problem; its text becomes the detail, its other headers stay.
pub(super) async fn to_problem(response: Response, asked: Asked) -> Response {
    let (mut parts, body) = response.into_parts();
    let text = match Limited::new(body, LONGEST_TEXT).collect().await {
        Ok(text) => text.to_bytes(),
        Err(_cut) => Bytes::new(),
    };
    let problem = problem_of(parts.status, &parts.headers, &text, &asked);
    let (problem, body) = problem.into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem.headers);
    parts.extensions.insert(IsProblem);
    Response::from_parts(parts, body)
}

fn problem_of(status: StatusCode, headers: &HeaderMap, text: &Bytes, asked: &Asked) -> Problem {
    let (method, path) = (&asked.method, asked.path());
    let detail = match std::str::from_utf8(text) {
        Ok(text) if !text.is_empty() => text.to_owned(),
        _ => match status {
            StatusCode::NOT_FOUND => format!("there is nothing at `{path}`; see /openapi.json"),
            StatusCode::METHOD_NOT_ALLOWED => {
                let allowed = headers.get(header::ALLOW).and_then(|allow| allow.to_str().ok());
                let allowed = allowed.unwrap_or("another method");
                format!("`{method}` is not allowed on `{path}`; use {allowed}")
            }
            _ => String::new(),
        },
    };
    match status {
        StatusCode::NOT_FOUND => Problem::not_found(detail),
        StatusCode::BAD_REQUEST => Problem::invalid(detail),
        _ => {
            let (code, title) = words(status);
            Problem::new(status.as_u16(), code, title, detail)
        }
    }
}

/// Code and title of a status. gRPC's words where it has one code for it, HTTP's elsewhere.
fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        401 => ("unauthenticated", "Unauthenticated"),
        403 => ("permission_denied", "Insufficient permissions"),
        405 => ("method_not_allowed", "Method not allowed"),
        413 => ("body_too_large", "Body too large"),
        415 => ("unsupported_media_type", "Unsupported media type"),
        422 => ("invalid_argument", "Invalid argument"),
        429 => ("resource_exhausted", "Limit exceeded"),
        500 => ("internal", "Internal error"),
        501 => ("unimplemented", "Not implemented"),
        503 => ("unavailable", "Unavailable"),
        504 => ("deadline_exceeded", "Deadline exceeded"),
        _ => ("http_error", status.canonical_reason().unwrap_or("Error")),
    }
}

/// What a REST client sees of a handler that panicked. The text of the panic stays in the log.
pub(super) fn panicked() -> Problem {
    Problem::of(regatta_core::Code::Internal, "the service failed to answer; see its log")
}

/// What a client sees when time ran out.
pub(super) fn late() -> Problem {
    let detail =
        "the answer was not ready before the deadline; it may or may not have taken effect";
    Problem::of(regatta_core::Code::DeadlineExceeded, detail)
}

/// The answer to a gRPC client: headers only, with the status of the problem.
pub(super) fn to_grpc(problem: Problem) -> Response {
    tonic::Status::from(problem).into_http::<Body>()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn converted(response: Response) -> (http::response::Parts, serde_json::Value) {
        assert!(is_plain_error(&response));
        let request = http::Request::put("/a?secret=1").body(()).unwrap();
        let response = to_problem(response, Asked::of(&request)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_text_becomes_the_detail_and_headers_stay() {
        let answer = (StatusCode::CONFLICT, [("x-mine", "1")], "the seat is taken");
        let (parts, body) = converted(answer.into_response()).await;
        assert_eq!(
            (parts.status, &parts.headers["x-mine"]),
            (StatusCode::CONFLICT, &"1".parse().unwrap())
        );
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(body["detail"], "the seat is taken");
        assert_eq!(body["title"], "Conflict");
    }

    #[tokio::test]
    async fn an_unknown_path_is_named_without_its_query() {
        let (_, body) = converted(StatusCode::NOT_FOUND.into_response()).await;
        assert_eq!(body["detail"], "there is nothing at `/a`; see /openapi.json");
        assert_eq!(body["code"], "not_found");
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let answer = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")]).into_response();
        let (parts, body) = converted(answer).await;
        assert_eq!(parts.headers["allow"], "GET,HEAD");
        assert_eq!(body["detail"], "`PUT` is not allowed on `/a`; use GET,HEAD");
    }

    #[test]
    fn what_the_author_chose_is_left_alone() {
        let json = (StatusCode::CONFLICT, [("content-type", "application/json")], "{}");
        let html = (StatusCode::CONFLICT, axum::response::Html("<p>taken"));
        let long = (StatusCode::CONFLICT, "x".repeat(LONGEST_TEXT + 1));
        for response in [
            json.into_response(),
            html.into_response(),
            long.into_response(),
            Problem::invalid("no").into_response(),
            (StatusCode::OK, "fine").into_response(),
            StatusCode::NOT_MODIFIED.into_response(),
        ] {
            assert!(!is_plain_error(&response), "{response:?}");
        }
    }
}
