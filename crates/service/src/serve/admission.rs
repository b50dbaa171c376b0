//! Who is let in: at most so many at a time, and from each client.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use regatta_core::Context;
use regatta_resilience::concurrency::{
    Acquire, Ending, InvalidSettings, Limit, Permit, Priority, Rejected, Settings,
};
use regatta_resilience::rate_limit::Decision;
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use regatta_telemetry::opentelemetry::metrics;
use regatta_traffic::clients::{Counter, Key, Network, client_address};
use tokio::time::Instant;

use super::deadline::Deadline;
use crate::rest::Problem;

/// Who called, as the connection knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What a client is told to wait for when there is no room: longer than the queue holds anybody.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limit of requests at a time; cheap to clone, changed live.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    limit: Limit,
    /// Whether answers teach the limit.
    learns: Arc<AtomicBool>,
}

impl Door {
    pub(crate) fn try_new(settings: Settings) -> Result<Self, InvalidSettings> {
        let learns = Arc::new(AtomicBool::new(settings.adaptive.is_some()));
        Ok(Self { limit: Limit::try_new(settings)?, learns })
    }

    /// Goes on with other settings; who is inside or waits stays.
    pub(crate) fn reconfigure(&self, settings: Settings) -> Result<(), InvalidSettings> {
        let learns = settings.adaptive.is_some();
        self.limit.reconfigure(settings)?;
        // It orders nothing: an answer that goes by the old value is one sample more or less.
        self.learns.store(learns, Relaxed);
        Ok(())
    }
}

/// A request that was let in; dropped, it makes room for the next.
#[derive(Debug)]
pub(super) struct Inside {
    permit: Permit,
    learns: bool,
}

impl Inside {
    /// Ends with what the answer says about the load.
    pub(super) fn leave(self, is_overloaded: bool) {
        if self.learns {
            let ending = if is_overloaded { Ending::Overloaded } else { Ending::Done };
            self.permit.finish(Instant::now().into_std(), ending);
        }
    }
}

/// Lets requests in, as long as there is room and their client's share lasts.
#[derive(Debug)]
pub(crate) struct Admission {
    door: Door,
    rate: Option<Counter>,
    /// Whose word about where a request comes from is taken.
    trusted: Vec<Network>,
    turned_away: metrics::Counter<u64>,
    limited_alone: metrics::Counter<u64>,
}

/// How a client stands, before its request is let in.
pub(super) enum Count {
    /// Clients are not counted, or this request is not.
    Uncounted,
    Decided(Decision),
    /// Who is to be asked about where all replicas count.
    Ask(String),
}

/// What became of a request at the door.
pub(super) enum Entry {
    /// It is let in; also one that is never turned away, which has no permit.
    Admitted(Option<Inside>),
    /// There is no room now.
    Waits(Acquire),
}

impl Admission {
    pub(crate) fn new(
        door: Door,
        rate: Option<Counter>,
        trusted: Vec<Network>,
        telemetry: &Telemetry,
    ) -> Self {
        let meter = telemetry.meter();
        let turned_away = meter
            .u64_counter("regatta.server.turned_away")
            .with_description("Requests that were not let in, by reason")
            .with_unit("{request}")
            .build();
        let gauge = |name, description, value: fn(&Limit) -> u64| {
            let limit = door.limit.clone();
            let gauge = meter.u64_observable_gauge(name).with_description(description);
            gauge.with_callback(move |gauge| gauge.observe(value(&limit), &[])).build();
        };
        gauge("regatta.server.limit", "Requests that may be worked on at a time", |limit| {
            limit.limit().into()
        });
        gauge("regatta.server.queued", "Requests that wait for room", |limit| {
            limit.queued() as u64
        });
        let limited_alone = meter
            .u64_counter("regatta.server.limits.alone")
            .with_description("Requests counted without the replicas' shared counts")
            .with_unit("{request}")
            .build();
        Self { door, rate, trusted, turned_away, limited_alone }
    }

    /// Counts a request of its client, unless that takes asking others.
    pub(super) fn count<B>(&self, request: &Request<B>, now: Instant) -> Count {
        let Some(rate) = &self.rate else { return Count::Uncounted };
        if is_exempt(request.uri().path()) {
            return Count::Uncounted;
        }
        let client = client(request, &self.trusted);
        match rate.check(&client, now.into_std()) {
            Some(decision) => Count::Decided(self.counted(decision)),
            None => Count::Ask(client.name()),
        }
    }

    /// Counts a request where all replicas count; none when they do not.
    pub(super) async fn ask(&self, client: &str) -> Option<Decision> {
        let rate = self.rate.as_ref()?;
        let (decision, outage) = rate.ask(client, Instant::now().into_std()).await;
        if let Some(outage) = &outage {
            tracing::debug!(error = %regatta_core::Chain(outage), "shared limits");
            self.limited_alone.add(1, &[]);
        }
        Some(self.counted(decision))
    }

    fn counted(&self, decision: Decision) -> Decision {
        if !decision.allowed {
            self.note("rate");
        }
        decision
    }

    /// Asks for room, which is waited for until the deadline at most.
    pub(super) fn enter<B>(&self, request: &Request<B>, deadline: Deadline, now: Instant) -> Entry {
        // Telemetry has read the header; what is malformed is as if absent.
        let urgency = Context::with_current(|context| context.and_then(|it| it.urgency));
        let priority = priority(urgency);
        match self.door.limit.try_acquire_at(priority, now.into_std()) {
            Ok(permit) => Entry::Admitted(Some(self.inside(permit))),
            Err(_full) if is_exempt(request.uri().path()) => Entry::Admitted(None),
            Err(_full) => Entry::Waits(self.door.limit.acquire(priority, deadline.left(now))),
        }
    }

    pub(super) fn inside(&self, permit: Permit) -> Inside {
        Inside { permit, learns: self.door.learns.load(Relaxed) }
    }

    /// The answer to a request that is not let in.
    pub(super) fn turned_away(&self, rejected: &Rejected) -> Problem {
        self.note(rejected.name());
        let detail = "the service has more requests than it can answer in time; try again later";
        let problem = Problem::unavailable(detail).with_code("overloaded");
        problem.with_member("retry_after", RETRY_AFTER.as_secs())
    }

    fn note(&self, reason: &'static str) {
        regatta_telemetry::annotate("regatta.server.turned_away", reason);
        self.turned_away.add(1, &[KeyValue::new("reason", reason)]);
    }
}

/// The answer to a client that has used up its share.
pub(super) fn over_its_limit(decision: &Decision) -> Problem {
    let seconds = whole_seconds(decision.retry_after);
    let detail = format!("more than {} requests; try again in {seconds} s", decision.limit);
    let problem = Problem::of(regatta_core::Code::ResourceExhausted, detail);
    problem
        .with_code("rate_limited")
        .with_error("Rate limit exceeded")
        .with_member("retry_after", seconds)
}

/// Tells a client how it stands (R19, and the IETF draft `RateLimit`).
pub(super) fn tell<B>(response: &mut Response<B>, decision: &Decision, window: Duration) {
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", decision.limit.into());
    headers.insert("x-ratelimit-remaining", decision.remaining.into());
    let (limit, remaining) = (decision.limit, decision.remaining);
    let (reset, window) = (whole_seconds(decision.until_more()), whole_seconds(window));
    for (name, text) in [
        ("ratelimit", format!("\"client\";r={remaining};t={reset}")),
        ("ratelimit-policy", format!("\"client\";q={limit};w={window}")),
    ] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

impl Admission {
    /// The window that clients are counted in.
    pub(super) fn window(&self) -> Duration {
        self.rate.as_ref().map_or(Duration::ZERO, Counter::window)
    }
}

/// Whose request it is: what it says, else where it comes from.
fn client<'r, B>(request: &'r Request<B>, trusted: &[Network]) -> Key<'r> {
    let headers = request.headers();
    // Without the listener, as in a test, all come from nowhere.
    let unknown = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let peer = request.extensions().get::<Peer>().map_or(unknown, |peer| peer.0);
    let reported = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    let address = client_address(peer, trusted, reported);
    Key::of(headers.get("x-client-id").map(|id| Key::Named(id.as_bytes())), address)
}

/// Rounded up, so that nobody comes back too early; one at least.
fn whole_seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + more).max(1)
}

/// The priority of what a request says of its urgency.
fn priority(urgency: Option<u8>) -> Priority {
    urgency.and_then(|urgency| Priority::try_new(urgency).ok()).unwrap_or_default()
}

/// What orchestrators and operators ask: it is needed most when there is no room.
fn is_exempt(path: &str) -> bool {
    matches!(
        path,
        "/health"
            | "/healthz"
            | "/health/ready"
            | "/readyz"
            | "/health/live"
            | "/livez"
            | "/metrics"
            | "/grpc.health.v1.Health/Check"
            | "/grpc.health.v1.Health/Watch"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default() {
        for (urgency, expected) in [(None, 3), (Some(6), 6), (Some(8), 3)] {
            assert_eq!(priority(urgency).urgency(), expected, "{urgency:?}");
        }
    }

    #[test]
    fn a_client_with_nothing_left_is_told_one_time_in_every_field() {
        let (whole, next) = (Duration::from_secs(60), Duration::from_millis(6_500));
        for (remaining, until) in [(0, 7), (3, 60)] {
            let mut response = Response::new(());
            let decision = Decision::new(remaining > 0, 9, remaining, whole, next);
            tell(&mut response, &decision, whole);
            let limit = response.headers()["ratelimit"].to_str().unwrap();
            assert_eq!(limit, format!("\"client\";r={remaining};t={until}"));
        }
    }

    #[test]
    fn seconds_are_never_too_few() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
