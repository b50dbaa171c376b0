#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! The registry against a name server of the test's own, over UDP.

mod finding;
mod server;
