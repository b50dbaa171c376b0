//! The order-service, its store, its peers and its interface.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod conformance;
mod crash;
mod desk;
mod peers;
mod rest;
mod running;
mod store;
mod sweep;
