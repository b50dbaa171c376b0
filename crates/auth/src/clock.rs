//! The wall clock, read in one place.

use std::time::SystemTime;

/// The wall clock now: what the layers verify against.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}
