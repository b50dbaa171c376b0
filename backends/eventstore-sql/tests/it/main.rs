//! The event store in both engines, real ones.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod databases;
mod erasure;
mod groups;
mod inbox;
mod once;
mod order;
mod outages;
mod outbox;
mod projections;
mod store;
