//! Connections: accepted, watched, served.

mod pace;
mod watched;

mod first_head;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use first_head::passed_on;
mod mended;

mod timed_body;
pub(crate) use timed_body::{Late, in_time};

mod serve;
pub(crate) use serve::{Bounds, serve};

/// HTTP/2's greeting (RFC 9113, 3.4).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
