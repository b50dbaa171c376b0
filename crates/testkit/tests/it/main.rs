//! The test kit, used as tests use it.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod postgres;
mod process;
mod redis;
