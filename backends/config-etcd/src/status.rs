//! From etcd's refusals to what a caller would do about them.

use std::error::Error;
use std::io;

use regatta_config::center::CenterError;
use tonic::{Code, Status};

/// Why there was no answer, for people: a status shows how its library is built.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Why(String);

/// The error of a call. `asked` is the revision that the call was about.
pub(crate) fn error(status: Status, address: &str, asked: u64) -> CenterError {
    let text = status.message();
    let message = || text.strip_prefix("etcdserver: ").unwrap_or(text).to_owned();
    match status.code() {
        Code::OutOfRange if text.contains("compacted") => {
            CenterError::Compacted { asked, oldest: None }
        }
        Code::OutOfRange if text.contains("future") => CenterError::Future { asked },
        Code::NotFound if text.contains("lease") => CenterError::NoLease,
        Code::PermissionDenied | Code::Unauthenticated => {
            CenterError::Denied { message: message() }
        }
        Code::InvalidArgument if is_login(text) => CenterError::Denied { message: message() },
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange => CenterError::Refused { message: message() },
        // What is left is a connection that failed, a server that is ending, or one without a
        // leader: later it may work.
        _ => CenterError::unavailable(address, why(&status)),
    }
}

/// What the connection said in the end.
fn why(status: &Status) -> Why {
    let mut cause = status.source();
    let mut last = None;
    while let Some(error) = cause {
        let refused = error.downcast_ref::<io::Error>();
        if refused.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            let remedy = "start a config center, as `regatta up` does, or correct the address";
            return Why(format!("nothing listens at this address; {remedy}"));
        }
        (last, cause) = (Some(error), error.source());
    }
    Why(match (last, status.message()) {
        (Some(error), _) => error.to_string(),
        (None, "") => status.code().description().to_owned(),
        (None, message) => message.to_owned(),
    })
}

/// Whether the token of a login is not known any more.
pub(crate) fn is_stale_token(status: &Status) -> bool {
    status.code() == Code::Unauthenticated && status.message().contains("invalid auth token")
}

/// Whether another endpoint may answer.
pub(crate) fn is_unavailable(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown)
}

fn is_login(text: &str) -> bool {
    ["authentication failed", "user name is empty", "authentication is not enabled"]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code, text: &str) -> CenterError {
        error(Status::new(code, text), "db:2379", 7)
    }

    #[test]
    fn each_refusal_is_what_a_caller_would_do() {
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert!(matches!(of(Code::OutOfRange, compacted), CenterError::Compacted { asked: 7, .. }));
        let future = "etcdserver: mvcc: required revision is a future revision";
        assert!(matches!(of(Code::OutOfRange, future), CenterError::Future { asked: 7 }));
        let lease = "etcdserver: requested lease not found";
        assert!(matches!(of(Code::NotFound, lease), CenterError::NoLease));
        let denied = of(Code::PermissionDenied, "etcdserver: permission denied");
        assert!(denied.to_string().contains("(permission denied)"), "{denied}");
        let login = "etcdserver: authentication failed, invalid user ID or password";
        assert!(matches!(of(Code::InvalidArgument, login), CenterError::Denied { .. }));
        let space = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(&space, CenterError::Refused { .. }) && !space.is_retryable());
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Unknown, Code::Internal] {
            assert!(of(code, "etcdserver: no leader").is_retryable(), "{code:?}");
        }
    }

    /// What was printed ended with `ConnectError(…Os { code: 111 …`.
    #[test]
    fn why_there_is_no_answer_is_said_for_people() {
        let said = |status| regatta_core::Chain(&error(status, "db:2379", 7)).to_string();
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = said(Status::from_error(Box::new(refused)));
        let head = "the config center at db:2379 does not answer; is it running?: ";
        assert!(refused.starts_with(&format!("{head}nothing listens at this address;")));
        assert!(refused.contains("`regatta up`"), "{refused}");
        let other = said(Status::from_error(Box::new(io::Error::other("the disk is full"))));
        assert_eq!(other, format!("{head}the disk is full"));
        assert_eq!(said(Status::unavailable("no leader")), format!("{head}no leader"));
        assert!(said(Status::unavailable("")).len() > head.len());
    }

    #[test]
    fn a_token_is_stale_only_when_etcd_says_so() {
        assert!(is_stale_token(&Status::unauthenticated("etcdserver: invalid auth token")));
        assert!(!is_stale_token(&Status::permission_denied("etcdserver: permission denied")));
    }
}
