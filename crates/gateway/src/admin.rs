//! The operators' listener: metrics and health.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::health;
use crate::policy::Health;
use crate::shared::Shared;

/// Connections at once; scrapers need few.
const MOST: usize = 64;

/// From a connection to the end of a request's head.
const HEADER_READ: Duration = Duration::from_secs(5);

/// Serves until the drain is over, so that the last numbers can be read.
///
/// # Cancel safety
///
/// Cancel safe: open connections are closed.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if tasks.len() >= MOST {
            continue;
        }
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, &shared);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_READ)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => (),
                () = shared.stop.cancelled() => (),
            }
        });
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let (status, media_type, body) = match request.uri().path() {
        "/metrics" => {
            (200, "text/plain; version=0.0.4; charset=utf-8", shared.metrics.text(shared.open()))
        }
        path => match Health::of(path) {
            Some(health) => {
                let (status, body) = health::answer(health, shared);
                (status, "application/json", body)
            }
            None => {
                let detail = "this listener has /metrics, /health, /health/live, /health/ready";
                let problem =
                    regatta_core::Problem::of(regatta_core::Code::NotFound, detail.into());
                (404, regatta_core::Problem::MEDIA_TYPE, problem.to_json())
            }
        },
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = header::HeaderValue::from_static(media_type);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
