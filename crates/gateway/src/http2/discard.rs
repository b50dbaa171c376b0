//! Short bodies of requests that were answered before they were read.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::worker::spawn;

/// What a client may send before anybody reads it (RFC 9113, section 6.9.2).
const WINDOW: u64 = 65_535;

/// Longest wait for it.
const WITHIN: Duration = Duration::from_secs(5);

/// Takes what is on its way. Dropped unread, the stream would be reset behind the answer, which RFC
/// 9113 (section 8.1) allows, and clients are known to lose the answer by it. A longer body is
/// dropped: to take it would ask for more of it.
pub(super) fn discard(mut body: Incoming) {
    if body.is_end_stream() || body.size_hint().upper().is_none_or(|bytes| bytes > WINDOW) {
        return;
    }
    // As many at a time as streams.
    spawn(async move {
        let taken = async { while let Some(Ok(_)) = body.frame().await {} };
        _ = tokio::time::timeout(WITHIN, taken).await;
    });
}
