//! Connections: one pool for HTTP/1.1, one for HTTP/2, each by instance.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use regatta_resilience::retry::Failure;

use crate::Options;
use crate::body::RequestBody;

/// Sends requests over pooled connections. Cheap to clone; a connection's task ends with it, and
/// the last clone ends all.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: Client<HttpConnector, RequestBody>,
    grpc: Client<HttpConnector, RequestBody>,
}

/// Which of the two pools a call goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// gRPC over HTTP/2 with prior knowledge.
    Grpc,
}

/// Time between two HTTP/2 pings, and for the answer to one. A peer that vanished without a word
/// is noticed after both, which is before a second call's deadline.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

impl Transport {
    pub(crate) fn new(options: &Options) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(options.connect_timeout));
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            // Without it idle connections never expire.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle);
        let http = builder.build(connector.clone());
        builder
            .http2_only(true)
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1)
            .http2_keep_alive_while_idle(true);
        Self { http, grpc: builder.build(connector) }
    }

    /// Sends a request whose URI names the instance.
    pub(crate) async fn send(
        &self,
        protocol: Protocol,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Error> {
        match protocol {
            Protocol::Http => self.http.request(request).await,
            Protocol::Grpc => self.grpc.request(request).await,
        }
    }
}

/// Whether nobody listens where the instance was: it restarts, or is gone and will be taken out.
pub(crate) fn was_refused(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether a call that failed this way may have reached the other side.
pub(crate) fn failure(error: &Error) -> Failure {
    if error.is_connect() {
        return Failure::Unsent;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // The connection closed before the request was taken up, or the server said that it has
        // not looked at it (RFC 9113, sections 6.8 and 8.7).
        let untaken = error.downcast_ref().is_some_and(hyper::Error::is_canceled);
        let refused = error.downcast_ref().is_some_and(|error: &h2::Error| {
            error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.is_remote())
        });
        if untaken || refused {
            return Failure::Unsent;
        }
        cause = error.source();
    }
    Failure::Lost
}
