//! The order-service, its store, its part of the saga and its interface.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod conformance;
mod crash;
mod expiry;
mod rest;
mod running;
mod saga;
mod store;
