//! The bus on a real NATS server.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod access;
mod bus;
mod cut;
mod outages;
mod peers;
