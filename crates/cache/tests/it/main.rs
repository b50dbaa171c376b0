//! Caches, seen from who asks them.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod aside;
mod faulty;
mod memory;
