//! Gives up on a call after a time, which cancels it.

mod error;
pub use error::TimedOut;

mod layer;
pub use layer::TimeoutLayer;

mod service;
pub use service::{ResponseFuture, Timeout};
