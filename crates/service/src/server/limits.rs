//! What one client may take of the server.

use std::time::Duration;

/// Limits of the listener and its connections; the group `server` documents and defaults them.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) header_read_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_concurrent_streams: u32,
    pub(crate) http2_keep_alive: Duration,
    /// Whether each request is told its client's address.
    pub(crate) tells_peers: bool,
}
