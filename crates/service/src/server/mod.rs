//! The listener: connections with limits, and a polite end.

mod limits;
pub(crate) use limits::Limits;

mod phase;
pub(crate) use phase::Phase;

mod watchdog;

mod gauge;

mod rarely;

mod connection;

mod accept;
pub(crate) use accept::{bind, serve};
