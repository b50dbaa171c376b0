//! The payment-service, its store and its interface.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod conformance;
mod rest;
mod store;
