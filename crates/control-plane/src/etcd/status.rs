//! Refusals as gRPC statuses, with etcd's codes.

use tonic::{Code, Status};

use crate::kv::{Rejection, StoreError};

/// The status of a refusal.
pub(crate) fn rejected(rejection: Rejection) -> Status {
    let code = match rejection {
        Rejection::NoKey
        | Rejection::KeyNotFound
        | Rejection::ValueProvided
        | Rejection::LeaseProvided
        | Rejection::SortOption
        | Rejection::TooManyOperations
        | Rejection::DuplicateKey => Code::InvalidArgument,
        Rejection::Compacted | Rejection::FutureRevision | Rejection::TtlTooLarge => {
            Code::OutOfRange
        }
        Rejection::LeaseNotFound => Code::NotFound,
        Rejection::LeaseExists => Code::FailedPrecondition,
        Rejection::NoSpace | Rejection::TooManyLeases => Code::ResourceExhausted,
        Rejection::Corrupt => Code::DataLoss,
    };
    Status::new(code, rejection.to_string())
}

/// The status of a change that was not carried out.
pub(crate) fn failed(error: StoreError) -> Status {
    match error {
        StoreError::Rejected(rejection) => rejected(rejection),
        // The words that etcd's clients know for it; the log says that it is the disk.
        StoreError::Log(error) if error.is_full() => rejected(Rejection::NoSpace),
        // The log has the reason; a client can do nothing but come back.
        StoreError::Log(_) | StoreError::Stopping => Status::unavailable(error.to_string()),
    }
}

/// The status of a write that is larger than allowed.
pub(crate) fn too_large() -> Status {
    Status::invalid_argument("etcdserver: request is too large")
}
