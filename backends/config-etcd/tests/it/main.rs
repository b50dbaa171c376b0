//! The client against a real etcd, and against nothing.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod access;
mod center;
mod outages;
