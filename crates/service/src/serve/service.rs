//! The shell around the router: limits before, problems after.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Version, header};
use http_body::Body as _;
use regatta_resilience::concurrency::Acquire;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::admission::{Admission, Count, Entry, over_its_limit};
use super::body::{Bounded, discard};
use super::convert;
use super::deadline::Deadline;
use super::future::{Admitted, Asked, Extras, Protocol, Serving, TurnedAway};
use crate::rest::{Problem, body_too_large};

/// What holds for each request.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Bytes of a request's body. gRPC bounds each message instead (tonic, 4 MiB).
    pub(crate) max_body_bytes: u64,
    /// Longest time to the head of an answer; a caller's deadline may only shorten it.
    pub(crate) request_timeout: Duration,
    /// Full names of the gRPC services, such as `userservice.UserService`.
    pub(crate) grpc_services: HashSet<String>,
    /// Where work that outlives its request is counted.
    pub(crate) tracker: TaskTracker,
    /// Who is let in; none lets everybody in.
    pub(crate) admission: Option<Admission>,
}

/// The router with what the chassis promises around it.
#[derive(Clone, Debug)]
pub(crate) struct Serve {
    router: Router,
    rules: Arc<Rules>,
}

impl Serve {
    pub(crate) fn new(router: Router, rules: Rules) -> Self {
        Self { router, rules: Arc::new(rules) }
    }

    fn protocol(&self, request: &Request<Body>) -> Protocol {
        // gRPC is always a POST, and a GET need not pay for the look-up.
        let is_grpc = *request.method() == Method::POST
            && request
                .headers()
                .get(header::CONTENT_TYPE)
                .is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            return Protocol::Rest;
        }
        let service = request.uri().path().trim_start_matches('/').split('/').next();
        if self.rules.grpc_services.contains(service.unwrap_or_default()) {
            Protocol::Grpc
        } else {
            Protocol::UnknownGrpc
        }
    }
}

/// What a client may send over HTTP/2 before anybody reads it (RFC 9113, section 6.9.2).
const HTTP2_WINDOW: u64 = 65_535;

impl Service<Request<Body>> for Serve {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = Serving;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Serving {
        let protocol = self.protocol(&request);
        if protocol == Protocol::UnknownGrpc {
            let detail = format!("there is no method `{}` here", request.uri().path());
            let problem = Problem::of(regatta_core::Code::Unimplemented, detail);
            return Serving::answered(problem, Protocol::Grpc);
        }
        // Read once: a look at the clock is some 40 instructions, and this takes no time.
        let now = Instant::now();
        let deadline = Deadline::of_request(self.rules.request_timeout, now);
        if deadline.is_over(now) {
            return Serving::answered(convert::late(), protocol);
        }
        let admission = self.rules.admission.as_ref();
        let counted =
            admission.map_or(Count::Uncounted, |admission| admission.count(&request, now));
        let rate = match (&counted, admission) {
            (Count::Decided(decision), Some(admission)) => Some((*decision, admission)),
            _ => None,
        };
        if let Some((decision, admission)) = rate
            && !decision.allowed
        {
            let problem = over_its_limit(&decision);
            let mut answer = Serving::answered(problem, protocol);
            answer.extras = Extras::of(Some((decision, admission.window())), None);
            return answer;
        }
        let size = request.body().size_hint();
        if size.exact() != Some(0) {
            // gRPC bounds each message instead.
            let limit = match protocol {
                Protocol::Rest => self.rules.max_body_bytes,
                Protocol::Grpc | Protocol::UnknownGrpc => u64::MAX,
            };
            let tracker = &self.rules.tracker;
            if size.lower() > limit {
                discard(request.into_body(), tracker);
                return Serving::answered(body_too_large(Some(limit)), protocol);
            }
            // On HTTP/2 a body that is not read ends with its stream, and nothing else does. A short
            // one is taken all the same: it is on its way, and clients are known to lose an answer
            // whose stream is reset behind it, which RFC 9113 (section 8.1) allows.
            let is_short = size.upper().is_some_and(|bytes| bytes <= HTTP2_WINDOW);
            let is_polite = request.version() < Version::HTTP_2 || is_short;
            if is_polite || size.upper().is_none_or(|bytes| bytes > limit) {
                let body = std::mem::take(request.body_mut());
                let body = Bounded::new(body, limit, is_polite, tracker.clone());
                *request.body_mut() = Body::new(body);
            }
        }
        let asked = Asked::of(&request);
        // A call over gRPC has a deadline of its own to its last message.
        let ends_at = match protocol {
            Protocol::Grpc => Deadline::of_call(request.headers(), now),
            Protocol::Rest | Protocol::UnknownGrpc => None,
        };
        let rate = rate.map(|(decision, admission)| (decision, admission.window()));
        let extras = Extras::of(rate, ends_at);
        if let Count::Ask(client) = counted {
            let asking = Box::pin(self.clone().ask(client, request, deadline));
            return Serving::waiting(asking, protocol, deadline, asked, extras);
        }
        let entry = admission.map(|admission| admission.enter(&request, deadline, now));
        // Made where it is returned: it is too large to be handed on for nothing.
        match entry.unwrap_or(Entry::Admitted(None)) {
            Entry::Admitted(inside) => {
                let answer = self.router.call(request);
                Serving::routed(answer, inside, protocol, deadline, asked, extras)
            }
            Entry::Waits(room) => {
                let waiting = self.clone().wait(room, request, deadline);
                Serving::waiting(Box::pin(waiting), protocol, deadline, asked, extras)
            }
        }
    }
}

impl Serve {
    /// Waits for room, and then calls the handler if there is still time for it.
    async fn wait(
        mut self,
        room: Acquire,
        request: Request<Body>,
        deadline: Deadline,
    ) -> Result<Admitted, TurnedAway> {
        let turned_away = |problem| TurnedAway { problem, rate: None };
        let Some(admission) = &self.rules.admission else {
            return Err(turned_away(convert::late()));
        };
        let room = room.await;
        let permit = room.map_err(|rejected| turned_away(admission.turned_away(&rejected)))?;
        if deadline.is_over(Instant::now()) {
            return Err(turned_away(convert::late()));
        }
        let inside = Some(admission.inside(permit));
        Ok(Admitted { answer: self.router.call(request), inside, rate: None })
    }

    /// Asks where all replicas count, then for room, and then calls the handler.
    async fn ask(
        mut self,
        client: String,
        request: Request<Body>,
        deadline: Deadline,
    ) -> Result<Admitted, TurnedAway> {
        let rules = Arc::clone(&self.rules);
        let Some(admission) = &rules.admission else {
            return Err(TurnedAway { problem: convert::late(), rate: None });
        };
        let rate = admission.ask(&client).await.map(|decision| (decision, admission.window()));
        if let Some((decision, _)) = rate.filter(|(decision, _)| !decision.allowed) {
            return Err(TurnedAway { problem: over_its_limit(&decision), rate });
        }
        match admission.enter(&request, deadline, Instant::now()) {
            Entry::Admitted(inside) => {
                Ok(Admitted { answer: self.router.call(request), inside, rate })
            }
            Entry::Waits(room) => match self.wait(room, request, deadline).await {
                Ok(admitted) => Ok(Admitted { rate, ..admitted }),
                Err(turned_away) => Err(TurnedAway { rate, ..turned_away }),
            },
        }
    }
}
