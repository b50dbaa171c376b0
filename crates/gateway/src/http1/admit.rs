//! From the bytes of a head to what becomes of the request, without waiting for anything.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use regatta_resilience::concurrency::Priority;
use regatta_resilience::rate_limit;
use regatta_traffic::cluster::Hints;
use tokio::time::Instant;

use super::write::{self, Common, Outgoing, Patch};
use super::{Body, Facts, Fields, Refusal, parse_request};
use crate::health;
use crate::http1::name::{Name, classify};
use crate::policy::ids::{RequestId, Trace};
use crate::policy::{
    Denial, Lookup, Plan, Rates, Request, Rules, Settled, Verdict, Wait, decide, priority,
};
use crate::record::{Ids, Record};
use crate::shared::{Shared, wall_clock};
use crate::upstream::{Slot, Target, hints};
use crate::worker::random;
use regatta_traffic::clients::client_address;
use regatta_traffic::verdict::{is_idempotent, is_read};

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
pub(crate) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What becomes of the bytes that were read.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// More bytes are needed.
    More,
    /// It is HTTP/2.
    Http2,
    /// The answer is written; `keep_alive` says whether the connection goes on.
    Answered { keep_alive: bool, record: Record },
    /// The request goes to a service; its new head is written.
    Forward(Box<Forward>),
    /// It is decided again once this is settled.
    Wait(Wait),
}

/// What is needed to forward a request once its head has left the buffer.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) target: Arc<Target>,
    /// What sends requests to the same instance.
    pub(crate) key: Option<u64>,
    /// Only instances of this version will do; none for any.
    pub(crate) version: Option<Arc<str>>,
    pub(crate) priority: Priority,
    /// Its place among the requests in flight, once it has one.
    pub(crate) slot: Slot,
    pub(crate) body: Body,
    pub(crate) is_head: bool,
    /// By its method, or because it has an `Idempotency-Key`.
    pub(crate) is_idempotent: bool,
    /// Whether it only reads, so that it may be sent twice at the same time.
    pub(crate) is_read: bool,
    pub(crate) keep_alive: bool,
    pub(crate) minor_version: u8,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: bool,
    pub(crate) timeout: Duration,
    /// Whether the timeout is the caller's and runs from the head, not from the end of the body.
    pub(crate) is_callers_timeout: bool,
    /// The attempt number of a trusted caller; 1 unless it said more. One over 1 is not retried.
    pub(crate) attempt: u8,
    pub(crate) request_id: RequestId,
    pub(crate) trace: Trace,
    pub(crate) rate: Option<rate_limit::Decision>,
    pub(crate) window: Duration,
    pub(crate) is_grpc: bool,
    pub(crate) patch: Patch,
    pub(crate) record: Record,
}

impl Forward {
    /// What it says about the instance it wants.
    pub(crate) fn hints(&self) -> Hints<'_> {
        hints(self.key, self.version.as_deref())
    }

    pub(crate) fn common(&self) -> Common<'_> {
        Common {
            request_id: &self.request_id,
            rate: self.rate.as_ref(),
            window: self.window,
            keep_alive: self.keep_alive,
            minor_version: self.minor_version,
        }
    }
}

/// Parses, decides, and writes either the upstream's head or the answer into `out`.
///
/// Says how many bytes of the buffer the head had.
pub(crate) fn admit(
    bytes: &[u8],
    peer: IpAddr,
    shared: &Shared,
    rules: &Rules,
    now: Instant,
    settled: &mut Settled,
    out: &mut Vec<u8>,
) -> (usize, Admitted) {
    if bytes.starts_with(&HTTP2_PREFACE[..bytes.len().min(HTTP2_PREFACE.len())]) {
        let admitted =
            if bytes.len() < HTTP2_PREFACE.len() { Admitted::More } else { Admitted::Http2 };
        return (0, admitted);
    }
    let mut fields = Fields::default();
    let head = match parse_request(bytes, &mut fields, &rules.limits) {
        Ok(None) => return (0, Admitted::More),
        Ok(Some(head)) => head,
        Err(refusal) => return (0, refused(refusal.into(), peer, shared, now, out)),
    };
    let facts = match Facts::of(&head, &rules.limits) {
        Ok(facts) => facts,
        Err(refusal) => {
            return (head.length, refused(refusal.into(), peer, shared, now, out));
        }
    };
    let draining = shared.is_draining();
    let is_head = head.method == "HEAD";
    let trusts_peer =
        !rules.trusted.is_empty() && rules.trusted.iter().any(|network| network.contains(peer));
    let client = if trusts_peer {
        let reported = head.fields.iter().filter_map(|field| {
            (classify(field.name.as_bytes()) == Name::ForwardedFor).then_some(field.value)
        });
        client_address(peer, &rules.trusted, reported)
    } else {
        peer
    };
    let value = |name: &str| {
        let named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        head.fields.iter().find(named).map(|field| field.value)
    };
    let request = Request {
        method: head.method,
        path: facts.target.path,
        headers: facts.headers,
        field: Lookup(&value),
        client,
        now: now.into_std(),
        wall: wall_clock(),
    };
    let mut plan = if facts.target.path == "*" {
        server_wide(facts.headers.request_id)
    } else {
        decide(rules, &request, settled, random::next)
    };
    if let Verdict::Wait(wait) = plan.verdict {
        settled.rates = plan.rates;
        return (0, Admitted::Wait(wait));
    }
    let shown = plan.rates.shown();
    let rate = shown.map(|rate| rate.decision);
    let window = shown.map_or(Duration::ZERO, |rate| rate.window);
    let record = Record::begin(shared, &mut plan, &request, version(head.minor_version), now);
    let common = Common {
        request_id: &plan.request_id,
        rate: rate.as_ref(),
        window,
        // A body that is not read would be taken for the next request.
        keep_alive: facts.keep_alive
            && !draining
            && matches!(facts.body, Body::None | Body::Length(0)),
        minor_version: head.minor_version,
    };
    let admitted = match plan.verdict {
        Verdict::Health(health) => {
            let (status, body) = health::answer(health, shared);
            let media_type = "application/json";
            write::own_answer(status, media_type, &[], body.as_bytes(), is_head, &common, out);
            Admitted::Answered { keep_alive: common.keep_alive, record: record.with(status) }
        }
        Verdict::Deny(denial) if denial.status() == 204 => {
            write::own_answer(204, "", &denial.fields, b"", true, &common, out);
            Admitted::Answered { keep_alive: common.keep_alive, record: record.with(204) }
        }
        Verdict::Deny(denial) => {
            deny(&denial, plan.is_grpc, &plan.trace, is_head, &common, out);
            Admitted::Answered {
                keep_alive: common.keep_alive,
                record: record.with(denial.status()),
            }
        }
        // Waiting was settled above.
        Verdict::Wait(wait) => Admitted::Wait(wait),
        Verdict::Forward { target, path, from, allowance, caller, version, .. } => {
            let upgrade = facts.upgrade.is_some_and(|name| name.eq_ignore_ascii_case("websocket"))
                && matches!(facts.body, Body::None);
            let attempt = facts.headers.attempt.filter(|_| trusts_peer).and_then(attempt_number);
            let outgoing = Outgoing {
                path: &path[from..],
                peer,
                trusts_peer,
                request_id: &plan.request_id,
                trace: &plan.trace,
                caller: caller.as_ref(),
                timeout: allowance.timeout,
                service: target.name(),
                upgrade,
            };
            let patch = write::request_head(bytes, &head, &facts, &outgoing, out);
            let forward = Forward {
                key: target.key(&facts.headers, client, value),
                version,
                priority: priority(facts.headers.priority),
                slot: Slot::default(),
                body: facts.body,
                is_head,
                is_read: is_read(head.method),
                is_idempotent: is_idempotent(head.method) || facts.headers.has_idempotency_key,
                keep_alive: facts.keep_alive && !draining,
                minor_version: head.minor_version,
                expects_continue: facts.expects_continue,
                upgrade,
                timeout: allowance.timeout,
                is_callers_timeout: allowance.is_callers,
                attempt: attempt.unwrap_or(1),
                request_id: plan.request_id,
                trace: plan.trace,
                rate,
                window,
                is_grpc: plan.is_grpc,
                patch,
                record,
                target,
            };
            Admitted::Forward(Box::new(forward))
        }
    };
    (head.length, admitted)
}

/// Writes an error answer: a problem, or for gRPC a trailers-only answer.
pub(crate) fn deny(
    denial: &Denial,
    is_grpc: bool,
    trace: &Trace,
    is_head: bool,
    common: &Common<'_>,
    out: &mut Vec<u8>,
) {
    if is_grpc {
        let fields = denial.grpc_fields();
        write::own_answer(200, "application/grpc", &fields, b"", is_head, common, out);
        return;
    }
    let body = denial.body(Some(trace.trace_id()));
    let media_type = regatta_core::Problem::MEDIA_TYPE;
    let status = denial.status();
    write::own_answer(status, media_type, &denial.fields, body.as_bytes(), is_head, common, out);
}

/// Answers a request that could not be read, and counts and logs it like any other.
pub(super) fn refused(
    denial: Denial,
    peer: IpAddr,
    shared: &Shared,
    now: Instant,
    out: &mut Vec<u8>,
) -> Admitted {
    let plan = server_wide(None);
    let common = Common {
        request_id: &plan.request_id,
        rate: None,
        window: Duration::ZERO,
        keep_alive: false,
        minor_version: 1,
    };
    deny(&denial, false, &plan.trace, false, &common, out);
    let ids = Ids { request_id: &plan.request_id, trace: &plan.trace };
    let record = Record::refused(shared, peer, &ids, now).with(denial.status());
    Admitted::Answered { keep_alive: false, record }
}

/// The answer to a connection over the limit; counted and logged as a request.
pub(crate) fn too_many_connections(peer: IpAddr, shared: &Shared) -> Vec<u8> {
    let (mut out, now) = (Vec::new(), Instant::now());
    let refused = refused(Denial::too_many_connections(), peer, shared, now, &mut out);
    if let Admitted::Answered { record, .. } = refused {
        record.finish(shared, now);
    }
    out
}

/// `OPTIONS *` asks what the server can do, not a service.
fn server_wide(request_id: Option<&[u8]>) -> Plan<'static> {
    let wide = || u128::from(random::next()) << 64 | u128::from(random::next());
    let problem = regatta_core::Problem::new(204, "options", "Options", String::new());
    let denial = Denial::new(problem).with("Allow", Refusal::SERVED);
    Plan {
        request_id: RequestId::echo_or_make(request_id, wide),
        trace: Trace::pass_or_make(None, || (wide(), wide() as u64)),
        is_grpc: false,
        rates: Rates::default(),
        route: None,
        service: None,
        verdict: Verdict::Deny(Box::new(denial)),
    }
}

fn version(minor: u8) -> http::Version {
    if minor == 0 { http::Version::HTTP_10 } else { http::Version::HTTP_11 }
}

fn attempt_number(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'1'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}
