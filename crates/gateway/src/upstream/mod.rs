//! The instances a service's requests go to.

mod changes;
pub(crate) use changes::Changes;
mod names;
mod service;
pub(crate) use service::Upstream;
mod slot;
pub(crate) use slot::Slot;
mod target;
pub(crate) use target::{Target, policies};
mod watch;
pub(crate) use watch::{begin, follow};
mod tries;
pub(crate) use tries::{Failed, Tries, hints};

/// Whether a status says that the service cannot serve now.
pub(crate) fn is_overloaded(status: u16) -> bool {
    matches!(status, 502..=504)
}
