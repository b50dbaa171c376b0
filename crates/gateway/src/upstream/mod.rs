//! The instances a service's requests go to.

mod changes;
pub(crate) use changes::Changes;
mod service;
pub(crate) use service::Upstream;
mod slot;
pub(crate) use slot::Slot;
mod target;
pub(crate) use target::{Target, policies};
mod watch;
pub(crate) use watch::{begin, follow};
pub(crate) mod retry;
mod tries;
pub(crate) use tries::{Failed, Tries};
