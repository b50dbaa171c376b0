//! The one table between gRPC codes and HTTP statuses.

/// What went wrong, in gRPC's words (gRPC, "Status codes and their use").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The caller went away.
    Cancelled,
    /// An error that carries no better code.
    Unknown,
    /// The request is wrong whatever the state of the system.
    InvalidArgument,
    /// Time ran out before an answer.
    DeadlineExceeded,
    /// No such thing.
    NotFound,
    /// The thing to be created is there already.
    AlreadyExists,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// A limit or quota is used up.
    ResourceExhausted,
    /// The system is not in the state the request needs.
    FailedPrecondition,
    /// A race was lost; try again from the start.
    Aborted,
    /// Past the valid range.
    OutOfRange,
    /// Not offered here.
    Unimplemented,
    /// A bug of ours.
    Internal,
    /// Cannot serve now; a retry may help.
    Unavailable,
    /// Data is lost or damaged.
    DataLoss,
    /// The caller is not known.
    Unauthenticated,
}

use Code::{
    Aborted, AlreadyExists, Cancelled, DataLoss, DeadlineExceeded, FailedPrecondition, Internal,
    InvalidArgument, NotFound, OutOfRange, PermissionDenied, ResourceExhausted, Unauthenticated,
    Unavailable, Unimplemented, Unknown,
};

/// Code, gRPC number, HTTP status, name. HTTP statuses as in `google/rpc/code.proto`.
const TABLE: [(Code, i32, u16, &str); 16] = [
    (Cancelled, 1, 499, "cancelled"),
    (Unknown, 2, 500, "unknown"),
    (InvalidArgument, 3, 400, "invalid_argument"),
    (DeadlineExceeded, 4, 504, "deadline_exceeded"),
    (NotFound, 5, 404, "not_found"),
    (AlreadyExists, 6, 409, "already_exists"),
    (PermissionDenied, 7, 403, "permission_denied"),
    (ResourceExhausted, 8, 429, "resource_exhausted"),
    (FailedPrecondition, 9, 400, "failed_precondition"),
    (Aborted, 10, 409, "aborted"),
    (OutOfRange, 11, 400, "out_of_range"),
    (Unimplemented, 12, 501, "unimplemented"),
    (Internal, 13, 500, "internal"),
    (Unavailable, 14, 503, "unavailable"),
    (DataLoss, 15, 500, "data_loss"),
    (Unauthenticated, 16, 401, "unauthenticated"),
];

impl Code {
    /// The number on gRPC's wire, 1 to 16.
    pub fn grpc(self) -> i32 {
        self.row().1
    }

    /// The HTTP status, 400 to 599.
    pub fn http_status(self) -> u16 {
        self.row().2
    }

    /// The name in problems, logs and metrics, such as `not_found`.
    pub fn name(self) -> &'static str {
        self.row().3
    }

    /// The code of a gRPC number; none for 0 (OK) and unknown numbers.
    pub fn from_grpc(number: i32) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The code of an HTTP status that came without a gRPC one (gRPC, "HTTP to gRPC status code
    /// mapping", and the table above where that one has no row); none for a status under 400.
    pub fn from_http_status(status: u16) -> Option<Self> {
        Some(match status {
            0..=399 => return None,
            401 => Unauthenticated,
            403 => PermissionDenied,
            404 => NotFound,
            409 => Aborted,
            412 | 428 => FailedPrecondition,
            413 | 429 | 431 => ResourceExhausted,
            499 => Cancelled,
            400..=498 => InvalidArgument,
            501 => Unimplemented,
            502 | 503 => Unavailable,
            504 => DeadlineExceeded,
            _ => Internal,
        })
    }

    fn row(self) -> &'static (Self, i32, u16, &'static str) {
        // The table is in the order of the variants, which a test checks.
        &TABLE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_finds_its_own_row() {
        for (code, number, status, name) in TABLE {
            assert_eq!((code.grpc(), code.http_status(), code.name()), (number, status, name));
            assert_eq!(Code::from_grpc(number), Some(code));
        }
        assert_eq!(Code::from_grpc(0), None);
        assert_eq!(Code::from_grpc(17), None);
    }

    #[test]
    fn every_error_status_has_a_code_and_no_other_has() {
        assert!((100..400).all(|status| Code::from_http_status(status).is_none()));
        assert!((400..600).all(|status| Code::from_http_status(status).is_some()));
    }

    #[test]
    fn what_a_gateway_answers_is_unavailable_to_a_grpc_client() {
        assert_eq!(Code::from_http_status(502), Some(Unavailable));
        assert_eq!(Code::from_http_status(504), Some(DeadlineExceeded));
        assert_eq!(Code::from_http_status(429), Some(ResourceExhausted));
    }
}
