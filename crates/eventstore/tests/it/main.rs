//! Event sourcing, seen from its users, on the store in memory.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod account;
mod follower;
mod memory;
mod properties;
mod relay;
mod repository;
mod scenario;
