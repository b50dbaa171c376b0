//! The user-service, its store and its interfaces.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod cache;
mod conformance;
mod crash;
mod grpc;
mod outage;
mod rest;
mod running;
mod store;
mod telling;
