//! Reads bodies that may be refused for their size, so that the client learns why.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;

use super::failure::Failure;

/// Bytes that are read and dropped of a body that is too large: a client that has not sent all of
/// it does not read the answer. Above this the connection is closed under it.
const MOST_DROPPED: usize = 16 << 20;

/// How long a body may take to come: a megabyte over a slow link, and no client holds a connection
/// for ever with half of one.
const TIME: Duration = Duration::from_secs(60);

/// The body, if it has at most so many bytes and comes within a minute.
///
/// Cancel safe: a dropped call has only read.
pub(crate) async fn within(body: Body, most: usize) -> Result<Bytes, Failure> {
    let late = |_| {
        let text = format!("the body took longer than {TIME:?}; send it again");
        Failure::new(StatusCode::REQUEST_TIMEOUT, text)
    };
    tokio::time::timeout(TIME, read(body, most)).await.map_err(late)?
}

async fn read(mut body: Body, most: usize) -> Result<Bytes, Failure> {
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

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::stream::{iter, pending};

    use super::*;

    fn parts(parts: &'static [&'static str]) -> Body {
        Body::from_stream(iter(parts).map(|part| Ok::<_, std::io::Error>(*part)))
    }

    #[tokio::test]
    async fn a_body_is_taken_whole_up_to_the_limit_and_refused_above_it() {
        assert_eq!(within(parts(&["ab", "cd"]), 4).await.unwrap(), "abcd");
        assert_eq!(within(parts(&[]), 0).await.unwrap(), "");
        for too_large in [parts(&["ab", "cd", "e"]), parts(&["abcde"]), parts(&["abcd", "", "e"])] {
            assert!(within(too_large, 4).await.unwrap_err().text().contains("max size: 4 bytes"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let begun = iter([Ok::<_, std::io::Error>("ab")]).chain(pending());
        let refused = within(Body::from_stream(begun), 4).await.unwrap_err();
        assert!(refused.text().contains("60s"));
    }
}
