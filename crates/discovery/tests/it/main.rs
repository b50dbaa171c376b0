//! Discovery, seen from its callers.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod fixed;
mod last_known;
mod memory;
mod registrar;
