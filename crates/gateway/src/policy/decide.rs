//! One decision per request, the same for HTTP/1.1 and HTTP/2.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use regatta_core::{Code, Problem, ServiceName};
use regatta_resilience::rate_limit;
use regatta_traffic::clients::Key;

use super::deadline::{Allowance, allowance};
use super::ids::{RequestId, Trace};
use super::rates::{Rate, Rates};
use super::rules::{Destination, Rule};
use super::{Caller, Denial, Limiter, Rules, Unverified};
use crate::http1::{Headers, target};
use crate::upstream::Target;
use crate::{Access, LimitKey};

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r str,
    /// The path as it came, without the query.
    pub(crate) path: &'r str,
    pub(crate) headers: Headers<'r>,
    /// Any other field.
    pub(crate) field: Lookup<'r>,
    /// Whose request it is, for limits: the peer, or whom a trusted hop names.
    pub(crate) client: IpAddr,
    /// The clocks.
    pub(crate) now: Instant,
    pub(crate) wall: SystemTime,
}

/// Reads a field of a request by its name.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'r>(pub(crate) &'r (dyn Fn(&str) -> Option<&'r [u8]> + Sync));

impl fmt::Debug for Lookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lookup").finish_non_exhaustive()
    }
}

/// What is decided, whatever the verdict.
#[derive(Debug)]
pub(crate) struct Plan<'r> {
    pub(crate) request_id: RequestId,
    pub(crate) trace: Trace,
    pub(crate) is_grpc: bool,
    pub(crate) rates: Rates,
    /// The rule, as metrics and logs name it; none for what no rule was asked about.
    pub(crate) route: Option<Arc<str>>,
    /// The service that the path names, if it is offered.
    pub(crate) service: Option<ServiceName>,
    pub(crate) verdict: Verdict<'r>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Verdict<'r> {
    /// Goes to a service.
    Forward {
        target: Arc<Target>,
        /// The canonical path; the service gets what begins at `from`.
        path: Cow<'r, str>,
        from: usize,
        allowance: Allowance,
        caller: Option<Caller>,
        /// Only instances of this version will do; none for any.
        version: Option<Arc<str>>,
        /// Whether it is a call of a listed gRPC service, whose stream has no length.
        is_grpc_route: bool,
    },
    /// Is answered here: the gateway's own health.
    Health(Health),
    /// Is answered here with an error.
    Deny(Box<Denial>),
    /// Is decided again once this is settled.
    Wait(Wait),
}

/// What must be waited for before a request can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The count of this client's requests at all gateways.
    Limit(Box<str>),
    /// The count of its requests to the paths of a route, by the number of the route's limit.
    RouteLimit(usize, Box<str>),
    /// The issuer's keys: the token is of one that is not known.
    Keys,
    /// The findings of the gateway's own health.
    Health,
}

/// What a request has waited for already; with it, deciding again counts nothing twice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    pub(crate) rates: Rates,
    pub(crate) keys: bool,
    pub(crate) health: bool,
}

/// Why a request goes to no service.
enum Halt {
    Deny(Denial),
    Wait(Wait),
}

impl From<Denial> for Halt {
    fn from(denial: Denial) -> Self {
        Self::Deny(denial)
    }
}

impl From<crate::http1::Refusal> for Halt {
    fn from(refusal: crate::http1::Refusal) -> Self {
        Self::Deny(refusal.into())
    }
}

/// The gateway's own health paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Whole,
    Live,
    Ready,
}

impl Health {
    pub(crate) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/health" | "/healthz" => Self::Whole,
            "/health/live" | "/livez" => Self::Live,
            "/health/ready" | "/readyz" => Self::Ready,
            _ => return None,
        })
    }
}

/// Decides about a request; `random` is asked for ids that the client did not send.
pub(crate) fn decide<'r>(
    rules: &Rules,
    request: &Request<'r>,
    settled: &Settled,
    mut random: impl FnMut() -> u64,
) -> Plan<'r> {
    let mut wide = || u128::from(random()) << 64 | u128::from(random());
    let headers = &request.headers;
    let mut plan = Plan {
        request_id: RequestId::echo_or_make(headers.request_id, &mut wide),
        trace: Trace::pass_or_make(headers.traceparent, || (wide(), wide() as u64)),
        is_grpc: headers.content_type.is_some_and(is_grpc),
        rates: settled.rates,
        route: None,
        service: None,
        verdict: Verdict::Health(Health::Live),
    };
    plan.verdict = match verdict(rules, request, settled, &mut plan) {
        Ok(verdict) => verdict,
        Err(Halt::Deny(denial)) => Verdict::Deny(Box::new(denial)),
        Err(Halt::Wait(wait)) => Verdict::Wait(wait),
    };
    plan
}

fn verdict<'r>(
    rules: &Rules,
    request: &Request<'r>,
    settled: &Settled,
    plan: &mut Plan<'r>,
) -> Result<Verdict<'r>, Halt> {
    let path = target::canonical(request.path)?;
    if let Some(health) = Health::of(&path) {
        if !matches!(request.method, "GET" | "HEAD") {
            return Err(only_get().into());
        }
        if health == Health::Whole && !settled.health {
            return Err(Halt::Wait(Wait::Health));
        }
        return Ok(Verdict::Health(health));
    }
    let limiter = rules.limiter.as_ref();
    let by_user = limiter.is_some_and(|limiter| limiter.key == LimitKey::User);
    let client = limiter.map_or(Key::Address(request.client), |limiter| limiter.client(request));
    let count_whole = |client: Key<'_>, plan: &mut Plan<'_>| match limiter {
        None => Ok(()),
        Some(limiter) => count(limiter, &client, &mut plan.rates.whole, request.now, Wait::Limit),
    };
    if !by_user {
        count_whole(client, plan)?;
    }
    let found = find(rules, request, settled, plan, &path);
    if by_user {
        // Who is unknown, and who is refused, counts by the address.
        let client = match &found {
            Err(Halt::Wait(wait)) => return Err(Halt::Wait(wait.clone())),
            Ok((.., Some(caller))) => Key::User(caller.user_id()),
            Ok((.., None)) | Err(Halt::Deny(_)) => client,
        };
        count_whole(client, plan)?;
    }
    let (Destination { target, from, is_grpc: is_grpc_route }, rule, caller) = found?;
    let time = rule.timeout.or(target.timeout).unwrap_or(rules.timeouts.request);
    let headers = &request.headers;
    let grpc_timeout = headers.grpc_timeout.filter(|_| plan.is_grpc);
    let allowance = allowance(time, grpc_timeout, headers.envoy_timeout);
    if allowance.timeout.is_zero() {
        return Err(Denial::timed_out(target.name(), Duration::ZERO).into());
    }
    let (target, version) = (Arc::clone(target), rule.version.clone());
    Ok(Verdict::Forward { target, path, from, allowance, caller, version, is_grpc_route })
}

/// The service, the rule of the path, and the caller.
fn find<'a>(
    rules: &'a Rules,
    request: &Request<'_>,
    settled: &Settled,
    plan: &mut Plan<'_>,
    path: &str,
) -> Result<(Destination<'a>, &'a Rule, Option<Caller>), Halt> {
    let Some(destination) = rules.destination(path, plan.is_grpc) else {
        return Err(Denial::no_service(path[1..].split('/').next().unwrap_or("")).into());
    };
    plan.service = Some(destination.target.upstream.name.clone());
    let rule = rules.rule(request.method, path);
    plan.route = Some(Arc::clone(&rule.name));
    let limit = rule.limit.and_then(|number| Some((number, rules.route_limit(number)?)));
    let Some((number, limiter)) = limit else {
        return Ok((destination, rule, authorise(rules, rule, request, settled)?));
    };
    let client = limiter.client(request);
    let rate = &mut plan.rates.route;
    let wait = |client| Wait::RouteLimit(number, client);
    if limiter.key != LimitKey::User {
        // Before a token is looked at, so that guesses at tokens and passwords count.
        count(limiter, &client, rate, request.now, wait)?;
        return Ok((destination, rule, authorise(rules, rule, request, settled)?));
    }
    let caller = authorise(rules, rule, request, settled);
    // Who is unknown, and who is refused, counts by the address.
    let client = match &caller {
        Err(Halt::Wait(wait)) => return Err(Halt::Wait(wait.clone())),
        Ok(Some(caller)) => Key::User(caller.user_id()),
        Ok(None) | Err(Halt::Deny(_)) => client,
    };
    count(limiter, &client, rate, request.now, wait)?;
    Ok((destination, rule, caller?))
}

/// Counts the request of its client, unless it was counted before.
fn count(
    limiter: &Limiter,
    client: &Key<'_>,
    rate: &mut Option<Rate>,
    now: Instant,
    wait: impl FnOnce(Box<str>) -> Wait,
) -> Result<(), Halt> {
    let Rate { decision, window } = match *rate {
        Some(rate) => rate,
        None => match limiter.check(client, now) {
            Some(decision) => *rate.insert(Rate { decision, window: limiter.window() }),
            None => return Err(Halt::Wait(wait(client.name().into()))),
        },
    };
    if decision.allowed { Ok(()) } else { Err(rate_limited(&decision, window).into()) }
}

fn authorise(
    rules: &Rules,
    rule: &Rule,
    request: &Request<'_>,
    settled: &Settled,
) -> Result<Option<Caller>, Halt> {
    let Some(authenticator) = &rules.authenticator else { return Ok(None) };
    if rule.access == Access::None {
        return Ok(None);
    }
    let required = rule.access == Access::Required;
    let caller = match authenticator.verify(&request.headers, request.wall, required) {
        Ok(caller) => caller,
        Err(Unverified::NeedsKeys(_)) if !settled.keys => return Err(Halt::Wait(Wait::Keys)),
        Err(Unverified::NeedsKeys(denial) | Unverified::Denied(denial)) => {
            return Err(denial.into());
        }
    };
    if let (Some(caller), Some(roles)) = (&caller, &rule.roles) {
        caller.check(roles)?;
    }
    Ok(caller)
}

fn rate_limited(decision: &rate_limit::Decision, window: Duration) -> Denial {
    let retry_after = whole_seconds(decision.retry_after).max(1);
    let detail = format!(
        "{} requests in {} s are allowed; try again in {retry_after} s",
        decision.limit,
        window.as_secs_f64()
    );
    let problem = Problem::of(Code::ResourceExhausted, detail)
        .with_code("rate_limited")
        .with_error("Rate limit exceeded")
        .with_member("retry_after", retry_after);
    Denial::new(problem).retry_after(decision.retry_after)
}

fn only_get() -> Denial {
    let detail = "health is read with GET".to_owned();
    Denial::new(Problem::new(405, "method_not_allowed", "Method not allowed", detail))
        .with("Allow", "GET, HEAD")
}

/// Rounded up: who comes back at the second is let in.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Whether a media type is gRPC's, in any encoding; gRPC-Web is plain HTTP to a proxy.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn grpc_web_is_plain_http() {
        for media_type in ["application/grpc", "application/grpc+proto", "application/grpc;a=b"] {
            assert!(is_grpc(media_type.as_bytes()), "{media_type}");
        }
        for media_type in ["application/grpc-web", "application/json", "application/grpcx"] {
            assert!(!is_grpc(media_type.as_bytes()), "{media_type}");
        }
    }
}
