#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! The layers and their handles, seen from their callers.

mod breaker;
mod concurrency;
mod deadline;
mod hedge;
mod rate_limit;
mod timeout;
