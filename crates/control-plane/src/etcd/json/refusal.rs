//! Refusals as the gateway writes them: HTTP's status, and gRPC's code in the body.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use tonic::{Code, Status};

/// The answer to a call that was refused.
pub(super) fn refused(status: &Status) -> Response {
    let (code, text) = (i32::from(status.code()), json!(status.message()));
    // In etcd's order, for those who read it with less than a parser.
    let body = format!("{{\"error\":{text},\"message\":{text},\"code\":{code}}}");
    (http_status(status.code()), [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// The same for a call that would have had many answers.
pub(super) fn refused_stream(status: &Status) -> Response {
    let body = last_line(status);
    (http_status(status.code()), [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// What ends a stream that has begun.
pub(super) fn last_line(status: &Status) -> String {
    let http = http_status(status.code());
    let error = json!({
        "grpc_code": i32::from(status.code()),
        "http_code": http.as_u16(),
        "message": status.message(),
        "http_status": http.canonical_reason(),
    });
    format!("{}\n", json!({ "error": error }))
}

/// As the gateway that etcd uses has it: for grpc-gateway 1, a precondition that fails is 412.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
