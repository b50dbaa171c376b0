//! The future of one answer: bounded in time, safe from panics, never plain text.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use pin_project_lite::pin_project;
use regatta_resilience::rate_limit::Decision;
use tokio::time::Sleep;

use super::admission::{Inside, tell as tell_rate};
use super::deadline::Deadline;
use super::until::Until;
use super::{blame, convert};
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
        deadline: Option<Deadline>,
        inside: Option<Inside>,
        // Boxed: rare.
        pub(super) extras: Option<Box<Extras>>,
        // Boxed: most handlers answer without it, and this future is moved a few times.
        sleep: Option<Pin<Box<Sleep>>>,
        asked: Asked,
    }
}

/// What only some answers need.
#[derive(Clone, Copy, Default)]
pub(super) struct Extras {
    /// How the client stands, and the window that it is counted in.
    rate: Standing,
    /// When the whole call ends, its stream included.
    ends_at: Option<Deadline>,
}

/// How a client stands, and the window that it is counted in.
pub(super) type Standing = Option<(Decision, Duration)>;

/// A handler that was called, its place among those that work, and how its client stands.
pub(super) struct Admitted {
    pub(super) answer: RouteFuture<Infallible>,
    pub(super) inside: Option<Inside>,
    pub(super) rate: Standing,
}

/// A request that was not let in, and how its client stands.
pub(super) struct TurnedAway {
    pub(super) problem: Problem,
    pub(super) rate: Standing,
}

/// What waits for room, or for the word of others.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Result<Admitted, TurnedAway>> + Send>>;

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
        Waiting { room: Waiting },
        Routed { #[pin] answer: RouteFuture<Infallible> },
        Converting { answer: Pin<Box<dyn Future<Output = Response> + Send>> },
        Answered { problem: Option<Problem> },
    }
}

impl Serving {
    pub(super) fn routed(
        answer: RouteFuture<Infallible>,
        inside: Option<Inside>,
        protocol: Protocol,
        deadline: Deadline,
        asked: Asked,
        extras: Option<Box<Extras>>,
    ) -> Self {
        let (stage, deadline) = (Stage::Routed { answer }, Some(deadline));
        Self { stage, protocol, deadline, inside, extras, sleep: None, asked }
    }

    pub(super) fn waiting(
        room: Waiting,
        protocol: Protocol,
        deadline: Deadline,
        asked: Asked,
        extras: Option<Box<Extras>>,
    ) -> Self {
        let (stage, deadline) = (Stage::Waiting { room }, Some(deadline));
        Self { stage, protocol, deadline, inside: None, extras, sleep: None, asked }
    }

    pub(super) fn answered(problem: Problem, protocol: Protocol) -> Self {
        let stage = Stage::Answered { problem: Some(problem) };
        let (inside, extras, asked) = (None, None, Asked::default());
        Self { stage, protocol, deadline: None, inside, extras, sleep: None, asked }
    }
}

impl Extras {
    /// How the client stands, and when the call ends, also in the middle of its answer; none for
    /// most answers.
    pub(super) fn of(rate: Standing, ends_at: Option<Deadline>) -> Option<Box<Self>> {
        let is_any = rate.is_some() || ends_at.is_some();
        is_any.then(|| Box::new(Self { rate, ends_at }))
    }

    fn apply(&self, mut response: Response) -> Response {
        if let Some((decision, window)) = &self.rate {
            tell_rate(&mut response, decision, *window);
        }
        match self.ends_at {
            Some(end) if !http_body::Body::is_end_stream(response.body()) => {
                response.map(|body| Body::new(Until::new(body, end.instant())))
            }
            _ => response,
        }
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
                StageProjection::Waiting { room } => match room.as_mut().poll(cx) {
                    Poll::Ready(Ok(Admitted { answer, inside, rate })) => {
                        *this.inside = inside;
                        note(this.extras, rate);
                        this.stage.set(Stage::Routed { answer });
                        continue;
                    }
                    Poll::Ready(Err(TurnedAway { problem, rate })) => {
                        note(this.extras, rate);
                        this.stage.set(Stage::Answered { problem: Some(problem) });
                        continue;
                    }
                    Poll::Pending => Ok(Poll::Pending),
                },
                StageProjection::Converting { answer } => {
                    let response = task::ready!(answer.as_mut().poll(cx));
                    return Poll::Ready(Ok(finished(response, this.extras)));
                }
                StageProjection::Answered { problem } => {
                    let problem = problem.take().unwrap_or_else(convert::panicked);
                    return Poll::Ready(Ok(finished(tell(problem, *this.protocol), this.extras)));
                }
            };
            let problem = match polled {
                Ok(Poll::Ready(Ok(response))) => {
                    // The answer begins: there is room for the next request.
                    if let Some(inside) = this.inside.take() {
                        inside.leave(response.status() == StatusCode::SERVICE_UNAVAILABLE);
                    }
                    if blame::is_too_late(&response, *this.protocol, *this.deadline) {
                        this.stage.set(Stage::Answered { problem: Some(convert::late()) });
                        continue;
                    }
                    if *this.protocol != Protocol::Rest {
                        let response = blame::of_grpc(response);
                        return Poll::Ready(Ok(finished(response, this.extras)));
                    }
                    if !convert::is_plain_error(&response) {
                        return Poll::Ready(Ok(finished(response, this.extras)));
                    }
                    let asked = std::mem::take(this.asked);
                    let answer = Box::pin(convert::to_problem(response, asked));
                    this.stage.set(Stage::Converting { answer });
                    continue;
                }
                Ok(Poll::Pending) => {
                    // Handlers that answer at once never pay for a timer.
                    let Some(deadline) = *this.deadline else { return Poll::Pending };
                    let sleep = this.sleep.get_or_insert_with(|| {
                        Box::pin(tokio::time::sleep_until(deadline.instant()))
                    });
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if let Some(inside) = this.inside.take() {
                        inside.leave(true);
                    }
                    convert::late()
                }
                Err(panic) => {
                    log_panic(panic.as_ref(), this.asked);
                    convert::panicked()
                }
            };
            // Drops the handler: nobody waits for what it does.
            this.stage.set(Stage::Answered { problem: Some(problem) });
        }
    }
}

/// Notes how the client stands, where that was not known before.
fn note(extras: &mut Option<Box<Extras>>, rate: Standing) {
    if rate.is_some() {
        extras.get_or_insert_default().rate = rate;
    }
}

fn finished(response: Response, extras: &Option<Box<Extras>>) -> Response {
    match extras {
        Some(extras) => extras.apply(response),
        None => response,
    }
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
