//! Tokens as their users and their forgers see them.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod forged;
mod keys;
mod layers;
mod support;
mod valid;
