#![allow(clippy::unwrap_used, reason = "tests panic on failure")]
//! The layers, seen from their callers.
