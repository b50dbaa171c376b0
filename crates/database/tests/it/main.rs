//! Both engines, real ones, seen from a store.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod changes;
mod migrations;
mod outages;
mod queries;
