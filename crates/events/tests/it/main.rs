//! Events, seen from who publishes and who subscribes.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod codec;
mod consumer;
mod memory;
mod peers;
