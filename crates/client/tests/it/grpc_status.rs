//! How gRPC calls are judged: by their status, wherever it stands.

use std::future::ready;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use regatta_client::{Channel, Error};
use regatta_traffic::fault::FailureOn;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_service::Service as _;

use crate::fleet::{Fleet, Server, options};
use crate::grpc::healthy;

/// The frames of an answer after its head.
type Frames = fn(&'static str) -> Vec<Frame<Bytes>>;

const PLACES: [Frames; 2] =
    [|status| vec![trailers(status)], |status| vec![message(), trailers(status)]];

#[tokio::test]
async fn a_failure_in_the_trailers_counts_with_messages_before_it_and_without() {
    for place in PLACES {
        for (status, expected) in [("14", 5), ("13", 5), ("0", 10), ("5", 10)] {
            let fleet = Fleet::new();
            let server = answering(&fleet, move || place(status)).await;
            let mut channel = fleet.channel(options());
            for _ in 0..10 {
                read(&mut channel, None).await;
            }
            assert_eq!(server.hits(), expected, "{status}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_status_is_none_and_after_a_message_half_of_one() {
    for (frames, word) in [(Vec::new as fn() -> _, "reset"), (|| vec![message()], "cut_off")] {
        for (words, expected) in [(word, 5), ("5xx", 10)] {
            let fleet = Fleet::new();
            let server = answering(&fleet, frames).await;
            let mut options = options();
            options.cluster.failure_on = FailureOn::new([words.parse().unwrap()]);
            let mut channel = fleet.channel(options);
            for call in 0..10 {
                // Whoever reads it may see its end before being told of it.
                if call % 2 == 0 {
                    read(&mut channel, None).await;
                } else {
                    read_to_the_last_frame(&mut channel).await;
                }
            }
            assert_eq!(server.hits(), expected, "{word} {words}");
        }
    }
}

#[tokio::test]
async fn a_service_that_gives_up_before_the_callers_own_time_is_over_is_to_blame() {
    let fleet = Fleet::new();
    let server = answering(&fleet, || PLACES[1]("4")).await;
    let mut channel = fleet.channel(options());
    for _ in 0..10 {
        read(&mut channel, Some(Duration::from_secs(2))).await;
    }
    assert_eq!(server.hits(), 5);
}

#[tokio::test]
async fn a_request_stream_that_fails_is_not_held_against_the_instance() {
    let fleet = Fleet::new();
    healthy(&fleet).await;
    let mut channel = fleet.channel(options());
    for is_later in [false, true] {
        for _ in 0..10 {
            let request = failing_request(async move {
                if is_later {
                    tokio::task::yield_now().await;
                }
            });
            let status = channel.call(request).await.unwrap_err();
            assert_eq!(status.code(), Code::Internal, "{status}");
            let source = std::error::Error::source(&status).unwrap().downcast_ref();
            assert!(matches!(source, Some(Error::RequestBody { .. })), "{status:?}");
        }
        let mut health = HealthClient::new(channel.clone());
        health.check(HealthCheckRequest::default()).await.expect("its breaker is closed");
    }
}

#[tokio::test]
async fn a_request_stream_that_fails_after_the_head_of_the_answer_is_not_held_against_it_either() {
    let fleet = Fleet::new();
    let echo = |request: axum::extract::Request| {
        let response = Response::builder().header("content-type", "application/grpc");
        ready(response.body(request.into_body()).unwrap())
    };
    let server = fleet.serve_router(Router::new().fallback(echo)).await;
    let mut channel = fleet.channel(options());
    for _ in 0..10 {
        let (fail, told) = tokio::sync::oneshot::channel::<()>();
        let request = failing_request(async { _ = told.await });
        let answer = channel.call(request).await.unwrap();
        fail.send(()).unwrap();
        answer.into_body().collect().await.unwrap_err();
    }
    assert_eq!(server.hits(), 10);
}

fn message() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(&[0; 5]))
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Frame::trailers(trailers)
}

/// An instance whose answers have these frames after their heads.
async fn answering(
    fleet: &Fleet,
    frames: impl Fn() -> Vec<Frame<Bytes>> + Clone + Send + Sync + 'static,
) -> Server {
    let handler = move || {
        let frames = frames().into_iter().map(Ok::<_, std::convert::Infallible>);
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        let response = Response::builder().header("content-type", "application/grpc");
        ready(response.body(body).unwrap())
    };
    fleet.serve_router(Router::new().fallback(handler)).await
}

/// Makes a call and reads its answer to the end, if one comes.
async fn read(channel: &mut Channel, timeout: Option<Duration>) {
    let mut request = Request::post("http://x/p.S/X").header("content-type", "application/grpc");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", regatta_core::format_grpc_timeout(timeout));
    }
    if let Ok(answer) = channel.call(request.body(tonic::body::Body::empty()).unwrap()).await {
        _ = answer.into_body().collect().await;
    }
}

/// Makes a call and reads its answer until there is nothing more to read, and does not ask again.
async fn read_to_the_last_frame(channel: &mut Channel) {
    let request = Request::post("http://x/p.S/X").header("content-type", "application/grpc");
    let request = request.body(tonic::body::Body::empty()).unwrap();
    if let Ok(answer) = channel.call(request).await {
        let mut body = answer.into_body();
        while !http_body::Body::is_end_stream(&body) {
            body.frame().await.unwrap().unwrap();
        }
    }
}

/// A call whose request stream has a message, and then fails.
fn failing_request(when: impl Future<Output = ()> + Send + 'static) -> Request<tonic::body::Body> {
    let failure = async {
        when.await;
        Err(Status::aborted("expected by this test"))
    };
    let frames = stream::iter([Ok(message())]).chain(stream::once(failure));
    let body = tonic::body::Body::new(StreamBody::new(frames.boxed()));
    let request = Request::post("http://x/p.S/X").header("content-type", "application/grpc");
    request.body(body).unwrap()
}
