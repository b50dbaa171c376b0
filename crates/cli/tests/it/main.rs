//! The regatta program, as its users run it.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod shop;

mod events;
mod life;
mod new;
mod refusals;
