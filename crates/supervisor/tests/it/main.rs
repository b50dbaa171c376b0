//! A supervisor with real processes.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod fixture;

mod building;
mod dying;
mod killing;
mod registering;
mod starting;
mod stopping;
