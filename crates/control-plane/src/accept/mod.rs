//! Connections: accepted, watched, served.

mod pace;
mod watched;

mod serve;
pub(crate) use serve::{Bounds, serve};
