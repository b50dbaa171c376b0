//! Whether requests are logged, and how.

/// Lines about requests on standard output.
///
/// Written by a thread of its own through a bounded queue; when that is full, lines are dropped
/// and counted (`regatta_gateway_access_log_dropped_total`), never waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    #[default]
    Off,
    /// One JSON object a line.
    Json,
    /// One line of text.
    Text,
}
