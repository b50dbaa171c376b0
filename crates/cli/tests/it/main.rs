//! The regatta program, as its users run it.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

mod plane;
mod shop;

mod copies;
mod events;
mod guarded;
mod life;
mod new;
mod refusals;
mod settings;
mod shared_limits;
