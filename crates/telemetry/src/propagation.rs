//! The context of a request in its headers, read and written.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use regatta_core::{
    Context, Deadline, ENVOY_TIMEOUT, GRPC_TIMEOUT, PRIORITY, TraceContext, format_grpc_timeout,
    parse_grpc_timeout, parse_millis, parse_urgency,
};

/// The header that names a request over all hops.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Envoy's header: which attempt this is, counted from 1. More than 1 marks a retry.
pub const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// gRPC's header: how many attempts went before. More than 0 marks a retry.
pub const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// RFC 9218's header: how urgent a request is.
const URGENCY: HeaderName = HeaderName::from_static(PRIORITY);

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const GRPC_DEADLINE: HeaderName = HeaderName::from_static(GRPC_TIMEOUT);
const ENVOY_DEADLINE: HeaderName = HeaderName::from_static(ENVOY_TIMEOUT);

/// Most bytes of `baggage` that are passed on (W3C Baggage, section 3.3.2).
const MOST_BAGGAGE: usize = 8192;

/// Longest request id that is kept; a longer one is replaced, so that logs stay readable.
const LONGEST_REQUEST_ID: usize = 128;

/// What the caller's headers say.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    pub(crate) trace: Option<TraceContext>,
    pub(crate) request_id: Option<Arc<str>>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) serves_retry: bool,
    pub(crate) urgency: Option<u8>,
    pub(crate) baggage: Option<Arc<str>>,
}

/// Reads what the caller sent; anything malformed is as if absent.
pub(crate) fn extract(headers: &HeaderMap, now: Instant) -> Caller {
    let present = Present::of(headers);
    let request_id = || text(headers, &REQUEST_ID).filter(|id| is_request_id(id));
    Caller {
        trace: present.trace.then(|| trace(headers)).flatten(),
        request_id: present.request_id.then(request_id).flatten().map(Into::into),
        deadline: present.deadline.then(|| deadline(headers, now)).flatten(),
        serves_retry: present.retry && serves_retry(headers),
        urgency: present.urgency.then(|| urgency(headers)).flatten(),
        baggage: present.baggage.then(|| baggage(headers)).flatten(),
    }
}

/// Which of the headers above a request has. A look-up hashes its name whether or not the header
/// is there; most requests have few of them, so one pass over the names costs less.
#[derive(Default)]
struct Present {
    trace: bool,
    request_id: bool,
    deadline: bool,
    retry: bool,
    urgency: bool,
    baggage: bool,
}

impl Present {
    fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "traceparent" => present.trace = true,
                "x-request-id" => present.request_id = true,
                GRPC_TIMEOUT | ENVOY_TIMEOUT => present.deadline = true,
                "x-envoy-attempt-count" | "grpc-previous-rpc-attempts" => present.retry = true,
                PRIORITY => present.urgency = true,
                "baggage" => present.baggage = true,
                _ => (),
            }
        }
        present
    }
}

/// Writes what callees need: trace, baggage, request id, urgency, and what is left of the deadline.
pub(crate) fn inject(
    headers: &mut HeaderMap,
    context: &Context,
    trace: &TraceContext,
    now: Instant,
    is_grpc: bool,
) {
    let mut bytes = [0; TraceContext::LENGTH];
    trace.write_to(&mut bytes);
    insert(headers, TRACEPARENT, &bytes);
    match &trace.state {
        Some(state) => insert(headers, TRACESTATE, state.as_bytes()),
        // A request that is forwarded may carry the state of another trace.
        None => drop(headers.remove(TRACESTATE)),
    }
    if let Some(baggage) = &context.baggage {
        insert(headers, BAGGAGE, baggage.as_bytes());
    }
    if let Some(request_id) = &context.request_id {
        insert(headers, REQUEST_ID, request_id.as_bytes());
    }
    // What the call says of itself comes first.
    if let Some(urgency) = context.urgency.filter(|_| !headers.contains_key(URGENCY)) {
        insert(headers, URGENCY, &[b'u', b'=', b'0' + urgency.min(7)]);
    }
    if let Some(deadline) = context.deadline {
        inject_deadline(headers, deadline, now, is_grpc);
    }
}

/// Writes what is left of the deadline, in gRPC's header for gRPC and in Envoy's otherwise.
///
/// An earlier deadline that is there already stays. One that is over is written as zero.
pub fn inject_deadline(headers: &mut HeaderMap, deadline: Deadline, now: Instant, is_grpc: bool) {
    let left = deadline.remaining(now).unwrap_or_default();
    let present = if is_grpc {
        text(headers, &GRPC_DEADLINE).and_then(parse_grpc_timeout)
    } else {
        text(headers, &ENVOY_DEADLINE).and_then(parse_millis)
    };
    if present.is_some_and(|present| present <= left) {
        return;
    }
    if is_grpc {
        insert(headers, GRPC_DEADLINE, format_grpc_timeout(left).as_bytes());
    } else {
        let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        headers.insert(ENVOY_DEADLINE, HeaderValue::from(millis));
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    // What came in as a header's text goes out as one; the check is for values set by hand.
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let trace = TraceContext::parse(values.next()?.as_bytes()).ok()?;
    // Two parents are no parent (W3C Trace Context, section 4.3).
    if values.next().is_some() {
        return None;
    }
    let mut states = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok());
    Some(match (states.next(), states.next()) {
        (None, _) => trace,
        (Some(state), None) => trace.with_state(state),
        // Several headers are one list (section 3.3.1.1).
        (Some(first), Some(second)) => {
            let mut list = format!("{first},{second}");
            states.for_each(|state| {
                list.push(',');
                list.push_str(state);
            });
            trace.with_state(&list)
        }
    })
}

fn baggage(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut values = headers.get_all(BAGGAGE).iter().filter_map(|value| value.to_str().ok());
    let first = values.next()?;
    let mut list = std::borrow::Cow::Borrowed(first);
    values.for_each(|value| {
        let list = list.to_mut();
        list.push(',');
        list.push_str(value);
    });
    (!list.is_empty() && list.len() <= MOST_BAGGAGE).then(|| list.into())
}

fn deadline(headers: &HeaderMap, now: Instant) -> Option<Deadline> {
    let grpc = text(headers, &GRPC_DEADLINE).and_then(parse_grpc_timeout);
    let envoy = text(headers, &ENVOY_DEADLINE).and_then(parse_millis);
    let timeout = match (grpc, envoy) {
        (Some(grpc), Some(envoy)) => grpc.min(envoy),
        (timeout, None) | (None, timeout) => timeout?,
    };
    Some(Deadline::after(now, timeout))
}

fn urgency(headers: &HeaderMap) -> Option<u8> {
    // Several fields are one list, of which the last member counts.
    headers.get_all(URGENCY).iter().filter_map(|value| parse_urgency(value.as_bytes())).next_back()
}

fn serves_retry(headers: &HeaderMap) -> bool {
    let count = |name| text(headers, &name).and_then(|text| text.parse::<u32>().ok());
    count(ATTEMPT_COUNT).is_some_and(|attempt| attempt > 1)
        || count(PREVIOUS_ATTEMPTS).is_some_and(|attempts| attempts > 0)
}

/// Whether the id may stand in logs and headers as it is: visible ASCII, not too long.
fn is_request_id(text: &str) -> bool {
    (1..=LONGEST_REQUEST_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
