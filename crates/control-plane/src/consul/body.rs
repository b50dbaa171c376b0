//! Reads bodies that may be refused for their size, so that the client learns why.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;

use super::failure::Failure;

/// Bytes that are read and dropped of a body that is too large: a client that has not sent all of
/// it does not read the answer. Above this the connection is closed under it.
const MOST_DROPPED: usize = 16 << 20;

/// The body, if it has at most so many bytes.
///
/// Cancel safe: a dropped call has only read.
pub(crate) async fn within(body: Body, most: usize) -> Result<Bytes, Failure> {
    let mut body = body;
    let (mut read, mut dropped) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let cut = |_| Failure::bad_request("the body ended too early");
        let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
        if dropped == 0 && read.len() + data.len() <= most {
            read.extend_from_slice(&data);
            continue;
        }
        dropped += data.len();
        if dropped > MOST_DROPPED {
            break;
        }
    }
    if dropped > 0 {
        let text = format!("Request body too large, max size: {most} bytes");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok(read.freeze())
}
