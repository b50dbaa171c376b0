//! Which gRPC calls are made twice, and which never are.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use regatta_client::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::fleet::{Does, Fleet, MILLISECOND, Server, options};
use crate::grpc::{failing, healthy};

/// How a caller says that a call may be made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Idempotent,
    Key,
}

const MAY: [Said; 2] = [Said::Idempotent, Said::Key];

const ALL: [Said; 3] = [Said::Nothing, Said::Idempotent, Said::Key];

#[tokio::test]
async fn a_server_that_pushes_back_is_not_asked_again() {
    for said in ALL {
        let fleet = Fleet::new();
        let servers = [pushing_back(&fleet).await, pushing_back(&fleet).await];
        assert_eq!(call(fleet.channel(options()), said).await, Err(Code::Unavailable));
        assert_eq!(hits(&servers), 1, "{said:?}");
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_for_longer_than_we_wait_is_not_asked_again() {
    let beyond = options().retry.most_retry_after + MILLISECOND;
    for (wait, calls) in [(beyond, 1), (MILLISECOND, 2)] {
        for way in [Told::Pushback, Told::Details] {
            let fleet = Fleet::new();
            let servers = [busy(&fleet, wait, way).await, busy(&fleet, wait, way).await];
            let mut options = options();
            options.retry.tries = 2;
            assert_eq!(call(fleet.channel(options), Said::Nothing).await, Err(Code::Unavailable));
            assert_eq!(hits(&servers), calls, "{wait:?} {way:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_of_ours_learns_when_a_breaker_lets_calls_through_again() {
    let error = regatta_client::Error::BreakerOpen {
        service: "a".parse().unwrap(),
        retry_after: Duration::from_micros(1_500_100),
    };
    let status = tonic::Status::from(error);
    assert_eq!(status.code(), Code::Unavailable);
    let field = |name| status.metadata().get(name).unwrap().to_str().unwrap();
    assert_eq!((field("retry-after"), field("grpc-retry-pushback-ms")), ("2", "1501"));
    let delay = status.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_micros(1_500_100)));
}

#[tokio::test]
async fn a_call_that_may_have_been_begun_further_on_is_not_repeated_by_our_caller() {
    let fleet = Fleet::new();
    fleet.serve_bytes(b"garbage\r\n\r\n").await;
    let error = fleet.client(options()).post("/").send().await.unwrap_err();
    assert!(error.was_sent(), "{error}");
    let status = tonic::Status::from(error);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");

    let nobody = Fleet::new().client(options()).post("/").send().await.unwrap_err();
    assert!(tonic::Status::from(nobody).metadata().get("grpc-retry-pushback-ms").is_none());
}

#[tokio::test]
async fn unavailable_before_a_message_is_tried_elsewhere_always() {
    for said in ALL {
        let fleet = Fleet::new();
        let (bad, good) = (failing(&fleet, Code::Unavailable).await, healthy(&fleet).await);
        let channel = fleet.channel(options());
        for _ in 0..2 {
            assert_eq!(call(channel.clone(), said).await, Ok(()), "{said:?}");
        }
        assert!(bad.hits() >= 1, "{said:?}");
        assert_eq!(good.hits(), 2, "{said:?}");
    }
}

#[tokio::test]
async fn a_proxys_answer_is_sent_again_only_if_the_caller_said_so() {
    for status in [502, 503, 504] {
        let fleet = Fleet::new();
        let servers = [proxy(&fleet, status).await, proxy(&fleet, status).await];
        assert!(call(fleet.channel(options()), Said::Nothing).await.is_err());
        assert_eq!(hits(&servers), 1, "{status}");
        for said in MAY {
            let fleet = Fleet::new();
            let (bad, good) = (proxy(&fleet, status).await, healthy(&fleet).await);
            let channel = fleet.channel(options());
            for _ in 0..2 {
                assert_eq!(call(channel.clone(), said).await, Ok(()), "{status} {said:?}");
            }
            assert!(bad.hits() >= 1, "{status} {said:?}");
            assert_eq!(good.hits(), 2, "{status} {said:?}");
        }
    }
}

#[tokio::test]
async fn an_instance_that_hangs_costs_a_try_only_if_the_caller_said_so() {
    let mut options = options();
    options.try_timeout = MILLISECOND * 50;
    options.timeout = Duration::from_millis(1_500);
    let fleet = Fleet::new();
    let servers = [fleet.serve(Does::Hang).await, fleet.serve(Does::Hang).await];
    let ended = call(fleet.channel(options.clone()), Said::Nothing).await;
    assert_eq!((ended, hits(&servers)), (Err(Code::DeadlineExceeded), 1));
    for said in MAY {
        let fleet = Fleet::new();
        let (hangs, good) = (fleet.serve(Does::Hang).await, healthy(&fleet).await);
        let channel = fleet.channel(options.clone());
        for _ in 0..2 {
            assert_eq!(call(channel.clone(), said).await, Ok(()), "{said:?}");
        }
        assert!(hangs.hits() >= 1 && good.hits() == 2, "{said:?}");
    }
}

#[tokio::test]
async fn a_call_the_server_says_it_has_not_begun_goes_elsewhere_always() {
    for frame in [reset(REFUSED_STREAM), go_away(0, NO_ERROR)] {
        let fleet = Fleet::new();
        let (bad, good) = (fleet.serve_frames(frame.clone()).await, healthy(&fleet).await);
        let channel = fleet.channel(options());
        for _ in 0..2 {
            assert_eq!(call(channel.clone(), Said::Nothing).await, Ok(()), "{frame:?}");
        }
        assert!(bad.hits() >= 1, "{frame:?}");
        assert_eq!(good.hits(), 2, "{frame:?}");
    }
}

#[tokio::test]
async fn a_call_the_server_may_have_begun_is_not_sent_again() {
    // The connection's end; a reset half-way; a farewell that counts the call among the begun.
    for frame in [vec![], reset(INTERNAL_ERROR), go_away(1, NO_ERROR), go_away(1, INTERNAL_ERROR)] {
        let fleet = Fleet::new();
        let servers =
            [fleet.serve_frames(frame.clone()).await, fleet.serve_frames(frame.clone()).await];
        let ended = call(fleet.channel(options()), Said::Nothing).await;
        assert_eq!((ended, hits(&servers)), (Err(Code::Unavailable), 1), "{frame:?}");
        let fleet = Fleet::new();
        let (bad, good) = (fleet.serve_frames(frame.clone()).await, healthy(&fleet).await);
        let channel = fleet.channel(options());
        for _ in 0..2 {
            assert_eq!(call(channel.clone(), Said::Idempotent).await, Ok(()), "{frame:?}");
        }
        assert!(bad.hits() >= 1 && good.hits() == 2, "{frame:?}");
    }
}

#[tokio::test]
async fn marking_one_channel_does_not_mark_what_it_was_cloned_from() {
    let fleet = Fleet::new();
    let server = proxy(&fleet, 502).await;
    let channel = fleet.channel(options());
    let marked = channel.clone().idempotent().with_timeout(Duration::from_secs(5));
    assert_eq!(call(channel, Said::Nothing).await, Err(Code::Unavailable));
    assert_eq!(server.hits(), 1);
    assert_eq!(call(marked, Said::Nothing).await, Err(Code::Unavailable));
    assert_eq!(server.hits(), 1 + 3);
}

const NO_ERROR: u8 = 0;
const INTERNAL_ERROR: u8 = 2;
const REFUSED_STREAM: u8 = 7;

/// The frame RST_STREAM for the first request of a connection.
fn reset(code: u8) -> Vec<u8> {
    vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code]
}

/// The frame GOAWAY, with the last stream that the server may have begun.
fn go_away(last: u8, code: u8) -> Vec<u8> {
    vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, code]
}

async fn call(channel: Channel, said: Said) -> Result<(), Code> {
    let mut request = Request::new(HealthCheckRequest::default());
    if said == Said::Key {
        request.metadata_mut().insert("idempotency-key", "a".parse().unwrap());
    }
    let channel = if said == Said::Idempotent { channel.idempotent() } else { channel };
    let answer = HealthClient::new(channel).check(request).await;
    answer.map(drop).map_err(|status| status.code())
}

/// A server that has no answer and wants no other call either.
async fn pushing_back(fleet: &Fleet) -> Server {
    let handler = || async {
        let mut status = tonic::Status::unavailable("expected by this test");
        status.metadata_mut().insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
        status.into_http::<axum::body::Body>()
    };
    fleet.serve_router(Router::new().fallback(handler)).await
}

/// How a server says when to come back.
#[derive(Clone, Copy, Debug)]
enum Told {
    Pushback,
    Details,
}

/// A server that has no time now, and says when it has.
async fn busy(fleet: &Fleet, wait: Duration, way: Told) -> Server {
    let handler = move || async move {
        let status = match way {
            Told::Pushback => {
                let mut status = tonic::Status::unavailable("expected by this test");
                let millis = u64::try_from(wait.as_millis()).unwrap();
                status.metadata_mut().insert("grpc-retry-pushback-ms", millis.into());
                status
            }
            Told::Details => {
                let details = ErrorDetails::with_retry_info(Some(wait));
                tonic::Status::with_error_details(Code::Unavailable, "expected", details)
            }
        };
        status.into_http::<axum::body::Body>()
    };
    fleet.serve_router(Router::new().fallback(handler)).await
}

/// A proxy's answer: a status of HTTP and no word of gRPC.
async fn proxy(fleet: &Fleet, status: u16) -> Server {
    let status = StatusCode::from_u16(status).unwrap();
    fleet.serve_router(Router::new().fallback(move || std::future::ready(status))).await
}

fn hits(servers: &[Server]) -> u32 {
    servers.iter().map(Server::hits).sum()
}
