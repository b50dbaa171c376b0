#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! Calls against real servers.
