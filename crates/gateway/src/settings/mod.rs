//! What an operator sets.

use std::num::NonZeroU32;

mod whole;
pub use whole::Settings;
mod service;
pub use service::{Access, Route, Service};
mod auth;
pub use auth::{Auth, Keys};
mod limits;
pub use limits::{LimitKey, Limits, RateLimit, Timeouts};
mod traffic;
pub use traffic::{Retry, Traffic};
mod access_log;
pub use access_log::AccessLog;
mod validate;

fn nonzero_u32(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
