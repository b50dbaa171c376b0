//! Errors that are the caller's doing, though they look like the service's.

use axum::body::Body;
use axum::response::Response;
use regatta_core::Code;
use tokio::time::Instant;
use tonic::Status;

use super::deadline::Deadline;
use super::future::Protocol;

/// How tonic's texts begin when a message of the caller's cannot be read.
const UNREADABLE: [&str; 4] = [
    "failed to decode Protobuf message",
    "Missing request message",
    "protocol error: received message with",
    "Unexpected EOF decoding stream",
];
const TOO_LONG: &str = "Error, decoded message length too large";

/// Whether the answer says that the service failed, and comes when its caller's time is over: what
/// failed then is most likely a call of the handler's own, whose time is the same.
pub(super) fn is_too_late(
    response: &Response,
    protocol: Protocol,
    deadline: Option<Deadline>,
) -> bool {
    let is_error = match protocol {
        Protocol::Rest => response.status().is_server_error(),
        Protocol::Grpc | Protocol::UnknownGrpc => {
            let code = grpc_code(response).and_then(Code::from_grpc);
            code.is_some_and(|code| code.http_status() >= 500)
        }
    };
    // The clock is read only then.
    is_error && deadline.is_some_and(|deadline| deadline.is_over(Instant::now()))
}

/// The same answer, with the code that says whose fault it is.
///
/// tonic answers a message that cannot be read with INTERNAL, as gRPC's table of codes has it, and
/// one that is too long with OUT_OF_RANGE. Callers, breakers and alarms read the first as a fault of
/// the service, which any caller could then take away from all others.
pub(super) fn of_grpc(response: Response) -> Response {
    let code = match grpc_code(&response) {
        Some(INTERNAL | OUT_OF_RANGE) => Status::from_header_map(response.headers()),
        _ => None,
    };
    let Some(status) = code else { return response };
    let begins = |text: &&str| status.message().starts_with(*text);
    let code = match status.code() {
        tonic::Code::Internal if UNREADABLE.iter().any(begins) => tonic::Code::InvalidArgument,
        tonic::Code::OutOfRange if begins(&TOO_LONG) => tonic::Code::ResourceExhausted,
        _ => return response,
    };
    Status::new(code, status.message()).into_http::<Body>()
}

const INTERNAL: i32 = tonic::Code::Internal as i32;
const OUT_OF_RANGE: i32 = tonic::Code::OutOfRange as i32;

fn grpc_code(response: &Response) -> Option<i32> {
    response.headers().get("grpc-status")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::response::IntoResponse;
    use http::StatusCode;

    use super::*;

    fn rest(status: StatusCode) -> Response {
        status.into_response()
    }

    fn grpc(code: tonic::Code, text: &str) -> Response {
        Status::new(code, text).into_http::<Body>()
    }

    #[test]
    fn only_an_error_of_the_service_after_the_deadline_is_its_end() {
        let over = Some(Deadline::at(Instant::now() - Duration::from_millis(1)));
        let ahead = Some(Deadline::at(Instant::now() + Duration::from_secs(3600)));
        let unavailable = rest(StatusCode::SERVICE_UNAVAILABLE);
        assert!(is_too_late(&unavailable, Protocol::Rest, over));
        assert!(!is_too_late(&unavailable, Protocol::Rest, ahead));
        assert!(!is_too_late(&unavailable, Protocol::Rest, None));
        for done in [StatusCode::CREATED, StatusCode::CONFLICT] {
            assert!(!is_too_late(&rest(done), Protocol::Rest, over), "{done}");
        }
        let unavailable = grpc(tonic::Code::Unavailable, "the store is away");
        assert!(is_too_late(&unavailable, Protocol::Grpc, over));
        assert!(!is_too_late(&unavailable, Protocol::Grpc, ahead));
        for done in [tonic::Code::Ok, tonic::Code::NotFound] {
            assert!(!is_too_late(&grpc(done, ""), Protocol::Grpc, over), "{done}");
        }
    }

    #[test]
    fn what_tonic_cannot_read_is_the_callers_and_what_a_handler_says_stays() {
        let told = |code, text| of_grpc(grpc(code, text)).headers()["grpc-status"].clone();
        for text in UNREADABLE {
            assert_eq!(told(tonic::Code::Internal, text), "3", "{text}");
        }
        assert_eq!(told(tonic::Code::Internal, "the store is broken"), "13");
        assert_eq!(told(tonic::Code::OutOfRange, TOO_LONG), "8");
        assert_eq!(told(tonic::Code::OutOfRange, "no such page"), "11");
        assert_eq!(told(tonic::Code::Unknown, UNREADABLE[0]), "2");
    }
}
