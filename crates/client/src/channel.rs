//! gRPC calls to one service, as a tonic client makes them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response};
use regatta_core::{GRPC_TIMEOUT, ServiceName, parse_grpc_timeout};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use crate::Error;
use crate::call::Call;
use crate::classify;
use crate::replay::Replay;
use crate::target::Target;
use crate::transport::Protocol;

/// Makes gRPC calls to one service: `UserServiceClient::new(channel)`. Cheap to clone.
///
/// A call may take [`crate::Options::timeout`], or what `tonic::Request::set_timeout` says, answer
/// streams included; [`Channel::without_timeout`] is for streams that stay open. An error of a call
/// that got no answer has the [`Error`] as its source.
///
/// Any call is repeated elsewhere when it was not begun: no connection was made, or the answer is
/// `UNAVAILABLE` before any message (gRPC's word for it; a service that has begun and does not know
/// how it ended adds `grpc-retry-pushback-ms: -1`, as errors of this crate do by themselves). Any
/// other failure is repeated only when the channel is [`Channel::idempotent`], or when the request
/// carries the metadata `idempotency-key`, of which the service does one call once. Streams and
/// messages over [`crate::Options::replay_bytes`] go elsewhere as long as nothing of them was sent.
#[derive(Clone, Debug)]
pub struct Channel {
    target: Arc<Target>,
    /// In place of the options'.
    timeout: Option<Duration>,
    is_idempotent: bool,
    key: Option<u64>,
    version: Option<Arc<str>>,
}

impl Channel {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self { target, timeout: None, is_idempotent: false, key: None, version: None }
    }

    /// The service it calls.
    pub fn name(&self) -> &ServiceName {
        self.target.name()
    }

    /// The same channel whose calls may take this long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same channel whose calls end only with their caller's deadline.
    #[must_use]
    pub fn without_timeout(self) -> Self {
        self.with_timeout(Duration::MAX)
    }

    /// The same channel whose calls go to the same instance as other calls of this key, if the
    /// service's strategy is
    /// [`ConsistentHash`](regatta_traffic::balance::Strategy::ConsistentHash).
    #[must_use]
    pub fn with_hash_key(mut self, key: &str) -> Self {
        self.key = Some(regatta_traffic::balance::hash_key(key));
        self
    }

    /// The same channel whose calls go to instances of this version, whatever the weights say. Where
    /// there is none they fail with [`Error::NoInstance`].
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = Some(version.into());
        self
    }

    /// The same channel for methods that may be done twice, such as those that only read. Default:
    /// none may.
    ///
    /// Its calls are repeated, too, when no message came and the answer is a proxy's 502, 503 or
    /// 504, or the connection broke, or nothing came within [`crate::Options::try_timeout`]. A server that pushes back (`grpc-retry-pushback-ms: -1`) is
    /// obeyed. The channel does not know which method is called: use a clone for the methods this
    /// is true of, and another for the rest.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        let target = Arc::clone(&self.target);
        let (timeout, is_idempotent, key) = (self.timeout, self.is_idempotent, self.key);
        let version = self.version.clone();
        // One allocation beside a network call; the future of an async block has no name.
        ResponseFuture(Box::pin(async move {
            let (head, body) = request.into_parts();
            let headers = head.headers;
            let asked = headers
                .get(GRPC_TIMEOUT)
                .and_then(|value: &HeaderValue| value.to_str().ok().and_then(parse_grpc_timeout));
            let options = target.options();
            let (try_timeout, timeout) = (options.try_timeout, timeout.unwrap_or(options.timeout));
            let body = Replay::read(body, options.replay_bytes).await;
            let slash = || PathAndQuery::from_static("/");
            let call = Call {
                protocol: Protocol::Grpc,
                is_read: is_idempotent,
                is_idempotent: is_idempotent || classify::has_key(&headers),
                method: head.method,
                path: head.uri.path_and_query().cloned().unwrap_or_else(slash),
                headers,
                timeout: asked.map_or(timeout, |asked| asked.min(timeout)),
                try_timeout,
                idle: None,
                key,
                version,
                options,
                target,
            };
            let response = call.run(body).await.map_err(Status::from)?;
            Ok(response.map(|body| Body::new(StatusBody(body))))
        }))
    }
}

/// The answer to a gRPC call. Dropping it cancels the call.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// A body whose errors are statuses, as tonic passes them on to its caller.
struct StatusBody(crate::body::ResponseBody);

impl http_body::Body for StatusBody {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(|error: Error| error.into())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}
