//! The bus in both engines, real ones.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod bus;
mod claims;
mod databases;
mod log;
mod peers;
