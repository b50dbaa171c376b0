//! Telemetry as its users see it.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod client;
mod collector;
mod export;
mod logs;
mod metrics;
mod server;
