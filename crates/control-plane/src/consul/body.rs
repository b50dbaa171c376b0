//! Reads bodies within a size and a time; says what was too much.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;

use super::app::App;
use super::failure::Failure;
use crate::accept::{Late, in_time};

/// Bytes that are read and dropped of a body that is too large: a client that has not sent all of
/// it does not read the answer. Above this the connection is closed under it.
const MOST_DROPPED: usize = 16 << 20;

/// A body, of at most as many bytes as a call's may have.
#[derive(Debug)]
pub(crate) struct Sent(pub(crate) Bytes);

impl FromRequest<App> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        within(request.into_body(), app.max_body_bytes).await.map(Self)
    }
}

/// Around all calls: a body that takes too long ends with an error, whoever reads it, so that no
/// client holds a connection for ever with half of one.
pub(crate) async fn timed(
    State(longest): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    next.run(request.map(|body| in_time(body, longest))).await
}

/// The body, if it has at most so many bytes and comes in time.
///
/// Cancel safe: a dropped call has only read.
pub(crate) async fn within(mut body: Body, most: usize) -> Result<Bytes, Failure> {
    let (mut read, mut dropped) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let cut = |error: axum::Error| match error.into_inner().downcast::<Late>() {
            Ok(late) => Failure::new(StatusCode::REQUEST_TIMEOUT, late.to_string()),
            Err(_) => Failure::bad_request("the body ended too early"),
        };
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
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::put;
    use futures::StreamExt;
    use futures::stream::{iter, pending};
    use tower::{Service, ServiceExt};

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
        let longest = Duration::from_secs(60);
        let read = async |request: Request| within(request.into_body(), 4).await;
        let mut routes = Router::new()
            .route("/", put(read))
            .layer(from_fn_with_state(longest, timed))
            .into_service::<Body>();
        let begun = iter([Ok::<_, std::io::Error>("ab")]).chain(pending());
        let request = Request::put("/").body(Body::from_stream(begun)).unwrap();
        let answer = routes.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        let text = within(answer.into_body(), 100).await.unwrap();
        assert_eq!(text, "the body took longer than 60s; send it again");
    }
}
