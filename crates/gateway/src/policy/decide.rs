//! One decision per request, the same for HTTP/1.1 and HTTP/2.

use std::borrow::Cow;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use regatta_core::{Code, Problem};
use regatta_resilience::rate_limit;

use super::deadline::{Allowance, allowance};
use super::ids::{RequestId, Trace};
use super::rules::Rule;
use super::{Caller, Denial, Rules};
use crate::Access;
use crate::http1::{Headers, target};
use crate::upstream::Upstream;

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    pub(crate) method: &'r str,
    /// The path as it came, without the query.
    pub(crate) path: &'r str,
    pub(crate) headers: Headers<'r>,
    /// Whose request it is, for limits: the peer, or whom a trusted hop names.
    pub(crate) client: IpAddr,
    /// The clocks.
    pub(crate) now: Instant,
    pub(crate) wall: SystemTime,
}

/// What is decided, whatever the verdict.
#[derive(Debug)]
pub(crate) struct Plan<'r> {
    pub(crate) request_id: RequestId,
    pub(crate) trace: Trace,
    pub(crate) is_grpc: bool,
    pub(crate) rate: Option<rate_limit::Decision>,
    /// The rule, as metrics and logs name it; none for what no rule was asked about.
    pub(crate) route: Option<Arc<str>>,
    pub(crate) verdict: Verdict<'r>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Verdict<'r> {
    /// Goes to a service.
    Forward {
        upstream: Arc<Upstream>,
        /// The canonical path; the service gets what begins at `from`.
        path: Cow<'r, str>,
        from: usize,
        allowance: Allowance,
        caller: Option<Caller>,
    },
    /// Is answered here: the gateway's own health.
    Health(Health),
    /// Is answered here with an error.
    Deny(Box<Denial>),
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
    mut random: impl FnMut() -> u64,
) -> Plan<'r> {
    let mut wide = || u128::from(random()) << 64 | u128::from(random());
    let headers = &request.headers;
    let mut plan = Plan {
        request_id: RequestId::echo_or_make(headers.request_id, &mut wide),
        trace: Trace::pass_or_make(headers.traceparent, || (wide(), wide() as u64)),
        is_grpc: headers.content_type.is_some_and(is_grpc),
        rate: None,
        route: None,
        verdict: Verdict::Health(Health::Live),
    };
    plan.verdict =
        verdict(rules, request, &mut plan).unwrap_or_else(|denial| Verdict::Deny(Box::new(denial)));
    plan
}

fn verdict<'r>(
    rules: &Rules,
    request: &Request<'r>,
    plan: &mut Plan<'r>,
) -> Result<Verdict<'r>, Denial> {
    let path = target::canonical(request.path)?;
    if let Some(health) = Health::of(&path) {
        return if matches!(request.method, "GET" | "HEAD") {
            Ok(Verdict::Health(health))
        } else {
            Err(only_get())
        };
    }
    if let Some(limiter) = &rules.limiter {
        let decision = limiter.check(&client_key(request), request.now);
        plan.rate = Some(decision);
        if !decision.allowed {
            return Err(rate_limited(&decision, limiter.window()));
        }
    }
    let (upstream, from) = rules
        .upstream(&path, plan.is_grpc)
        .map_err(|()| Denial::no_service(path[1..].split('/').next().unwrap_or("")))?;
    let (upstream, from) = (Arc::clone(upstream), from);
    let rule = rules.rule(request.method, &path);
    plan.route = Some(Arc::clone(&rule.name));
    let caller = authorise(rules, rule, &request.headers, request.wall)?;
    let time = rule.timeout.or(upstream.timeout).unwrap_or(rules.timeouts.request);
    let headers = &request.headers;
    let grpc_timeout = headers.grpc_timeout.filter(|_| plan.is_grpc);
    let allowance = allowance(time, grpc_timeout, headers.envoy_timeout);
    if allowance.timeout.is_zero() {
        return Err(Denial::timed_out(upstream.name.as_str(), Duration::ZERO));
    }
    Ok(Verdict::Forward { upstream, path, from, allowance, caller })
}

/// Who is counted: what `X-Client-ID` says, or the address (R19). The two never share a count.
#[derive(Hash)]
enum ClientKey<'r> {
    Named(&'r [u8]),
    Address(IpAddr),
}

fn client_key<'r>(request: &Request<'r>) -> ClientKey<'r> {
    match request.headers.client_id {
        Some(id) if !id.is_empty() => ClientKey::Named(id),
        _ => ClientKey::Address(request.client),
    }
}

fn authorise(
    rules: &Rules,
    rule: &Rule,
    headers: &Headers<'_>,
    wall: SystemTime,
) -> Result<Option<Caller>, Denial> {
    let Some(authenticator) = &rules.authenticator else { return Ok(None) };
    if rule.access == Access::None {
        return Ok(None);
    }
    let caller = authenticator.verify(headers, wall, rule.access == Access::Required)?;
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
    Denial::new(problem).with("Retry-After", retry_after.to_string())
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

    #[test]
    fn a_name_and_an_address_are_never_one_client() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let hash = |key: ClientKey<'_>| {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
        };
        assert_ne!(hash(ClientKey::Named(b"127.0.0.1")), hash(ClientKey::Address(address)));
    }
}
