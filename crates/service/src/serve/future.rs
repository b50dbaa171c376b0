//! The future of one answer: bounded in time, safe from panics, never plain text.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use http::Method;
use http::uri::PathAndQuery;
use pin_project_lite::pin_project;
use regatta_core::{Context, Deadline};
use tokio::time::{Instant, Sleep};

use super::convert;
use crate::rest::Problem;

/// How errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// By status and problem.
    Rest,
    /// By `grpc-status`.
    Grpc,
    /// By `grpc-status`, of a service that is not here.
    UnknownGrpc,
}

pin_project! {
    /// The answer to one request. Never fails.
    pub(crate) struct Serving {
        #[pin]
        stage: Stage,
        protocol: Protocol,
        timeout: Duration,
        // Boxed: most handlers answer without it, and this future is moved a few times.
        sleep: Option<Pin<Box<Sleep>>>,
        asked: Asked,
    }
}

/// What was asked for, to say so when it fails.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: Method,
    path: Option<PathAndQuery>,
}

impl Asked {
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        Self { method: request.method().clone(), path: request.uri().path_and_query().cloned() }
    }

    /// The path without its query, which may hold what should not be repeated.
    pub(super) fn path(&self) -> &str {
        self.path.as_ref().map_or("*", PathAndQuery::path)
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage {
        Routed { #[pin] answer: RouteFuture<Infallible> },
        Converting { answer: Pin<Box<dyn Future<Output = Response> + Send>> },
        Answered { problem: Option<Problem> },
    }
}

impl Serving {
    pub(super) fn routed(
        answer: RouteFuture<Infallible>,
        protocol: Protocol,
        timeout: Duration,
        asked: Asked,
    ) -> Self {
        let stage = Stage::Routed { answer };
        Self { stage, protocol, timeout, sleep: None, asked }
    }

    pub(super) fn answered(problem: Problem, protocol: Protocol) -> Self {
        let stage = Stage::Answered { problem: Some(problem) };
        Self { stage, protocol, timeout: Duration::ZERO, sleep: None, asked: Asked::default() }
    }
}

impl Future for Serving {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let polled = match this.stage.as_mut().project() {
                // The handler is dropped with this future, whatever state the panic left it in.
                StageProjection::Routed { answer } => {
                    catch_unwind(AssertUnwindSafe(|| answer.poll(cx)))
                }
                StageProjection::Converting { answer } => return answer.as_mut().poll(cx).map(Ok),
                StageProjection::Answered { problem } => {
                    let problem = problem.take().unwrap_or_else(convert::panicked);
                    return Poll::Ready(Ok(tell(problem, *this.protocol)));
                }
            };
            let problem = match polled {
                Ok(Poll::Ready(Ok(response))) => {
                    if *this.protocol != Protocol::Rest || !convert::is_plain_error(&response) {
                        return Poll::Ready(Ok(response));
                    }
                    let asked = std::mem::take(this.asked);
                    let answer = Box::pin(convert::to_problem(response, asked));
                    this.stage.set(Stage::Converting { answer });
                    continue;
                }
                Ok(Poll::Pending) => {
                    // Handlers that answer at once never pay for a timer.
                    let timeout = *this.timeout;
                    let sleep = this
                        .sleep
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end(timeout))));
                    match sleep.as_mut().poll(cx) {
                        Poll::Ready(()) => convert::late(),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Err(panic) => {
                    log_panic(panic.as_ref(), this.asked);
                    convert::panicked()
                }
            };
            this.stage.set(Stage::Answered { problem: Some(problem) });
        }
    }
}

/// The caller's deadline, or the service's own if that is earlier. The request came in just now:
/// this is asked when its handler first has to wait.
fn end(timeout: Duration) -> Instant {
    let now = Instant::now();
    let callers = Context::current().and_then(|context| context.deadline);
    Deadline::after(now.into_std(), timeout).earlier(callers).instant().into()
}

fn tell(problem: Problem, protocol: Protocol) -> Response {
    match protocol {
        Protocol::Rest => problem.into_response(),
        Protocol::Grpc | Protocol::UnknownGrpc => convert::to_grpc(problem),
    }
}

fn log_panic(panic: &(dyn Any + Send), asked: &Asked) {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let (method, path) = (asked.method.as_str(), asked.path());
    tracing::error!(panic = text.unwrap_or("no text"), method, path, "a handler panicked");
}
