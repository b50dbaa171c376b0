//! The cache in a real Redis: shared, invalidated, away and back.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod conforms;
mod outages;
mod peers;
mod races;
