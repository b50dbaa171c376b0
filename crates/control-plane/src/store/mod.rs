//! Keeps the registry durable: rows on disk, one writer, many readers.

mod journal;
pub(crate) use journal::{Journal, JournalError};

mod wakers;
pub(crate) use wakers::{Wakers, Waking};

mod engine;
pub(crate) use engine::{Engine, SubmitError, Writer};
