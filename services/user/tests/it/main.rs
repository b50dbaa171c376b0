//! The user-service, its store and its interfaces.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod conformance;
mod store;
