//! What can keep a command from being done.

use regatta_core::{Code, Origin};

use crate::{AppendError, DecodeError, EncodeError, InvalidStream, StoreError};

/// An aggregate was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The id is none.
    #[error("the aggregate's id is not valid")]
    Id(#[from] InvalidStream),
    /// The store failed.
    #[error("the aggregate cannot be loaded")]
    Store(#[from] StoreError),
    /// An event has no form today.
    #[error("the aggregate's history cannot be read")]
    Decode(#[from] DecodeError),
}

/// A command was not done, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<E: std::error::Error + 'static> {
    /// The aggregate refuses.
    #[error("the command was refused")]
    Refused(#[source] E),
    /// The aggregate was not loaded.
    #[error("the command was not tried")]
    Load(#[from] LoadError),
    /// An event cannot be written.
    #[error("an event of the command cannot be written")]
    Encode(#[from] EncodeError),
    /// Other writers were faster every time.
    #[error("other writers were faster `{attempts}` times; try again later")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The append failed. After [`AppendError::Store`] it may have happened: repeat the command with
    /// the same id.
    #[error("the events of the command were not appended")]
    Append(#[source] AppendError),
}

impl<E: std::error::Error + 'static> ExecuteError<E> {
    /// Why the aggregate refuses, when it does.
    pub fn refusal(&self) -> Option<&E> {
        match self {
            Self::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the same command, with an id, may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Contended { .. } => true,
            Self::Load(LoadError::Store(error)) | Self::Append(AppendError::Store(error)) => {
                error.is_retryable()
            }
            _ => false,
        }
    }

    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Refused(_) | Self::Load(LoadError::Id(_)) => Origin::Caller,
            _ if self.is_retryable() => Origin::Upstream,
            _ => Origin::Us,
        }
    }

    /// The code for the caller; a service knows a better one for a refusal.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(_) => Code::FailedPrecondition,
            Self::Load(LoadError::Id(_)) => Code::InvalidArgument,
            Self::Contended { .. } => Code::Aborted,
            _ if self.is_retryable() => Code::Unavailable,
            _ => Code::Internal,
        }
    }
}
