//! The client against a real etcd, and against nothing.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod center;
mod outages;
