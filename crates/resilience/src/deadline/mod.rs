//! One instant by which a call must be over, whatever it does.
//!
//! A deadline is absolute: each hop, each wait and each try takes from the same time. What is over
//! is not begun, and what is under way is cancelled.

mod rules;
pub use rules::{for_try, left};

mod error;
pub use error::DeadlineOver;

mod layer;
pub use layer::DeadlineLayer;

mod service;
pub use service::{DeadlineService, ResponseFuture};
