//! Heads as they go out: lines passed on, copied once, and the gateway's own.

use std::net::IpAddr;
use std::time::Duration;

use regatta_core::TraceContext;
use regatta_resilience::rate_limit::Decision;

use super::request::offset;
use super::{Body, Facts, RequestHead, ResponseHead};
use crate::policy::ids::{RequestId, Trace};
use crate::policy::{Caller, forwarded, number, whole_seconds};
use crate::shared::wall_clock;
use crate::worker::date;

/// Where a head has digits that differ from attempt to attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    trace: usize,
    attempt: usize,
    timeout: usize,
}

/// What goes into the head of an upstream request beside the client's fields.
#[derive(Debug)]
pub(crate) struct Outgoing<'o> {
    /// The canonical path at the service, beginning with `/`, or empty for the root.
    pub(crate) path: &'o str,
    pub(crate) peer: IpAddr,
    pub(crate) trusts_peer: bool,
    pub(crate) request_id: &'o RequestId,
    pub(crate) trace: &'o Trace,
    pub(crate) caller: Option<&'o Caller>,
    pub(crate) timeout: Duration,
    /// Stands in for a missing `Host` of HTTP/1.0.
    pub(crate) service: &'o str,
    pub(crate) upgrade: bool,
}

/// Writes the head of an upstream request.
pub(crate) fn request_head(
    bytes: &[u8],
    head: &RequestHead<'_>,
    facts: &Facts<'_>,
    outgoing: &Outgoing<'_>,
    out: &mut Vec<u8>,
) -> Patch {
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(if outgoing.path.is_empty() { b"/" } else { outgoing.path.as_bytes() });
    out.extend_from_slice(facts.target.query.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let host = if facts.host.is_empty() { outgoing.service } else { facts.host };
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut dropped = facts.dropped;
    if !outgoing.trace.is_callers {
        dropped |= facts.tracestate;
    }
    let starts = head.fields.iter().map(|field| offset(bytes, field.name.as_ptr()));
    copy_lines(bytes, starts, head.length, dropped, out);

    let trusted_fields = if outgoing.trusts_peer { head.fields } else { &[] };
    let existing = trusted_fields.iter().map(|field| (field.name.as_bytes(), field.value));
    forwarded::write(existing, outgoing.peer, facts.host.as_bytes(), out);
    out.extend_from_slice(b"X-Request-Id: ");
    out.extend_from_slice(outgoing.request_id.as_bytes());
    out.extend_from_slice(b"\r\ntraceparent: ");
    let trace = out.len();
    out.extend_from_slice(&outgoing.trace.header);
    if let Some(caller) = outgoing.caller {
        out.extend_from_slice(b"\r\nx-user-id: ");
        out.extend_from_slice(caller.user_id().as_bytes());
        out.extend_from_slice(b"\r\nx-user-roles: ");
        for (index, role) in caller.roles().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(role.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\nx-envoy-attempt-count: 1");
    let attempt = out.len() - 1;
    out.extend_from_slice(b"\r\nx-envoy-expected-rq-timeout-ms: ");
    let timeout = out.len();
    out.extend_from_slice(&millis(outgoing.timeout));
    match facts.body {
        Body::Length(length) => {
            out.extend_from_slice(b"\r\nContent-Length: ");
            number::push(out, length);
        }
        Body::Chunked => out.extend_from_slice(b"\r\nTransfer-Encoding: chunked"),
        Body::None | Body::UntilClose => (),
    }
    if outgoing.upgrade {
        out.extend_from_slice(b"\r\nConnection: Upgrade\r\nUpgrade: websocket");
    }
    out.extend_from_slice(b"\r\n\r\n");
    Patch { trace, attempt, timeout }
}

/// Writes an attempt's number (1 to 9) and the time that is left for it.
pub(crate) fn patch(out: &mut [u8], at: Patch, attempt: u8, timeout: Duration) {
    out[at.attempt] = b'0' + attempt.min(9);
    out[at.timeout..at.timeout + MILLIS_DIGITS].copy_from_slice(&millis(timeout));
}

/// Writes a try's own trace context over the request's.
pub(crate) fn patch_trace(out: &mut [u8], at: Patch, header: &[u8; TraceContext::LENGTH]) {
    out[at.trace..at.trace + TraceContext::LENGTH].copy_from_slice(header);
}

/// Fixed, so that a later attempt's number fits; 99,999,999 ms are a day.
const MILLIS_DIGITS: usize = 8;

fn millis(timeout: Duration) -> [u8; MILLIS_DIGITS] {
    // Rounded down, as a callee must not believe it has longer than its caller; not to zero.
    let mut rest = timeout.as_millis().clamp(1, 99_999_999) as u32;
    let mut digits = [b'0'; MILLIS_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// How the client is told where a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// No framing field: there is no body by the status or the method.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunks,
    /// The connection closes after it.
    Close,
}

/// The fields every answer of the gateway has, its own and the services'.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common<'c> {
    pub(crate) request_id: &'c RequestId,
    pub(crate) rate: Option<&'c Decision>,
    pub(crate) window: Duration,
    pub(crate) keep_alive: bool,
    pub(crate) minor_version: u8,
}

/// Writes the head of a response that a service gave.
pub(crate) fn response_head(
    bytes: &[u8],
    head: &ResponseHead,
    frame: Frame,
    common: &Common<'_>,
    out: &mut Vec<u8>,
) {
    status_line(head.status, &bytes[head.reason.clone()], out);
    let replaced = if common.rate.is_some() { head.rate_fields } else { 0 };
    copy_lines(bytes, head.lines.starts(), head.length, head.dropped | replaced, out);
    if !head.has_request_id {
        push_field(b"X-Request-Id: ", common.request_id.as_bytes(), out);
    }
    if !head.has_date && head.status >= 200 {
        date::push(wall_clock(), out);
    }
    finish_head(frame, common, out);
}

/// Writes an answer of the gateway's own, body included.
pub(crate) fn own_answer(
    status: u16,
    media_type: &str,
    fields: &[(&str, String)],
    body: &[u8],
    to_head: bool,
    common: &Common<'_>,
    out: &mut Vec<u8>,
) {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    status_line(status, reason.unwrap_or("").as_bytes(), out);
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        push_field(b": ", value.as_bytes(), out);
    }
    if !media_type.is_empty() {
        push_field(b"Content-Type: ", media_type.as_bytes(), out);
    }
    push_field(b"X-Request-Id: ", common.request_id.as_bytes(), out);
    date::push(wall_clock(), out);
    // 204 has no body, and must not say how long it is (RFC 9110, section 8.6).
    let frame = if status == 204 { Frame::None } else { Frame::Length(body.len() as u64) };
    finish_head(frame, common, out);
    if !to_head {
        out.extend_from_slice(body);
    }
}

fn status_line(status: u16, reason: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number::push(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

fn finish_head(frame: Frame, common: &Common<'_>, out: &mut Vec<u8>) {
    if let Some(rate) = common.rate {
        rate_fields(rate, common.window, out);
    }
    match frame {
        Frame::None | Frame::Close => (),
        Frame::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            number::push(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Frame::Chunks => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if !common.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if common.minor_version == 0 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// R19's fields and those of draft-ietf-httpapi-ratelimit-headers-10.
fn rate_fields(rate: &Decision, window: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-RateLimit-Limit: ");
    number::push(out, rate.limit.into());
    out.extend_from_slice(b"\r\nX-RateLimit-Remaining: ");
    number::push(out, rate.remaining.into());
    out.extend_from_slice(b"\r\nRateLimit: \"client\";r=");
    number::push(out, rate.remaining.into());
    out.extend_from_slice(b";t=");
    number::push(out, whole_seconds(rate.until_more()));
    out.extend_from_slice(b"\r\nRateLimit-Policy: \"client\";q=");
    number::push(out, rate.limit.into());
    out.extend_from_slice(b";w=");
    number::push(out, whole_seconds(window));
    out.extend_from_slice(b"\r\n");
}

fn push_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Copies the lines that are passed on, neighbours in one piece.
///
/// The parser has checked that each line ends with CRLF and that none is folded, so a line ends
/// where the next field's name begins.
pub(crate) fn copy_lines(
    bytes: &[u8],
    starts: impl Iterator<Item = usize>,
    head_length: usize,
    dropped: u128,
    out: &mut Vec<u8>,
) {
    // Where the piece begins that is being gathered.
    let mut piece = None;
    for (index, start) in starts.enumerate() {
        if dropped >> index & 1 == 0 {
            piece.get_or_insert(start);
        } else if let Some(begin) = piece.take() {
            out.extend_from_slice(&bytes[begin..start]);
        }
    }
    if let Some(begin) = piece {
        out.extend_from_slice(&bytes[begin..head_length - 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::http1::{Fields, parse_request, parse_response};

    const IDS: &[u8] = b"abc";

    fn outgoing_of(text: &str, caller: Option<&Caller>) -> (String, Vec<u8>, Patch) {
        let (request_id, trace) =
            (RequestId::echo_or_make(Some(IDS), || 0), Trace::pass_or_make(None, || (1, 2)));
        let outgoing = Outgoing {
            path: "/users/1",
            peer: "192.0.2.1".parse().unwrap(),
            trusts_peer: false,
            request_id: &request_id,
            trace: &trace,
            caller,
            timeout: Duration::from_millis(1500),
            service: "user-service",
            upgrade: false,
        };
        let (mut fields, limits) = (Fields::default(), Limits::default());
        let head = parse_request(text.as_bytes(), &mut fields, &limits).unwrap().unwrap();
        let facts = Facts::of(&head, &limits).unwrap();
        let mut out = Vec::new();
        let patch = request_head(text.as_bytes(), &head, &facts, &outgoing, &mut out);
        (String::from_utf8(out.clone()).unwrap(), out, patch)
    }

    #[test]
    fn a_request_keeps_its_own_fields_and_gets_the_gateways() {
        let caller = Caller::for_test("1", &["user", "admin"]);
        let (text, ..) = outgoing_of(
            "GET /user-service/users/1?a=b HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n\
             X-User-Id: 99\r\nX-Request-Id: evil\r\ntracestate: a=b\r\nConnection: X-Mine\r\n\
             X-Mine: 1\r\nX-Forwarded-For: 6.6.6.6\r\nx-envoy-attempt-count: 7\r\nX-End:  1 \r\n\r\n",
            Some(&caller),
        );
        assert_eq!(
            text,
            format!(
                "GET /users/1?a=b HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nX-End:  1 \r\n\
                 X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
                 X-Forwarded-Host: shop\r\n\
                 Forwarded: for=192.0.2.1;host=\"shop\";proto=http\r\n\
                 X-Request-Id: abc\r\ntraceparent: 00-{:032x}-{:016x}-01\r\n\
                 x-user-id: 1\r\nx-user-roles: user,admin\r\nx-envoy-attempt-count: 1\r\n\
                 x-envoy-expected-rq-timeout-ms: 00001500\r\n\r\n",
                1, 2
            )
        );
    }

    #[test]
    fn a_later_attempt_says_its_number_and_what_time_is_left() {
        let (_, mut out, at) = outgoing_of("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", None);
        patch(&mut out, at, 2, Duration::from_millis(700));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("x-envoy-attempt-count: 2\r\n"), "{text}");
        assert!(text.contains("x-envoy-expected-rq-timeout-ms: 00000700\r\n"), "{text}");
    }

    #[test]
    fn the_gateways_limit_stands_for_a_services() {
        let text = b"HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 9\r\nRateLimit: \"x\";r=1\r\n\
                     ratelimit-policy: \"x\"\r\nX-RateLimit-Remaining: 8\r\nContent-Length: 0\r\n\r\n";
        let mut fields = Fields::default();
        let (head, _) = parse_response(text, &mut fields, false).unwrap().unwrap();
        let request_id = RequestId::echo_or_make(Some(IDS), || 0);
        let rate = Decision::new(true, 60, 59, Duration::from_secs(60), Duration::ZERO);
        for (rate, limits) in [(Some(&rate), 1), (None, 1)] {
            let common = Common {
                request_id: &request_id,
                rate,
                window: Duration::from_secs(60),
                keep_alive: true,
                minor_version: 1,
            };
            let mut out = Vec::new();
            response_head(text, &head, Frame::Length(0), &common, &mut out);
            let text = String::from_utf8(out).unwrap().to_ascii_lowercase();
            for name in ["x-ratelimit-limit:", "ratelimit-policy:", "x-ratelimit-remaining:"] {
                assert_eq!(text.matches(name).count(), limits, "{text}");
            }
            assert_eq!(text.contains("x-ratelimit-limit: 60"), rate.is_some(), "{text}");
        }
    }

    #[test]
    fn a_client_with_nothing_left_is_told_when_the_next_request_passes() {
        let request_id = RequestId::echo_or_make(Some(IDS), || 0);
        let (whole, next) = (Duration::from_secs(60), Duration::from_millis(6_500));
        for (remaining, until) in [(0, 7), (3, 60)] {
            let common = Common {
                request_id: &request_id,
                rate: Some(&Decision::new(remaining > 0, 9, remaining, whole, next)),
                window: whole,
                keep_alive: true,
                minor_version: 1,
            };
            let mut out = Vec::new();
            own_answer(429, "", &[], b"", false, &common, &mut out);
            let text = String::from_utf8(out).unwrap();
            let line = format!("\r\nRateLimit: \"client\";r={remaining};t={until}\r\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn an_answer_without_content_does_not_say_how_long_it_is() {
        let request_id = RequestId::echo_or_make(Some(IDS), || 0);
        let common = Common {
            request_id: &request_id,
            rate: None,
            window: Duration::ZERO,
            keep_alive: true,
            minor_version: 1,
        };
        for (status, says) in [(204, false), (200, true)] {
            let mut out = Vec::new();
            own_answer(status, "", &[], b"", false, &common, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.contains("Content-Length"), says, "{text}");
        }
    }

    #[test]
    fn a_response_keeps_its_status_and_fields_and_loses_those_of_the_hop() {
        let text = b"HTTP/1.1 299 Odd Reason\r\nConnection: keep-alive\r\nSet-Cookie: a=b\r\n\
                     Content-Length: 2\r\ndate: then\r\nSet-Cookie: c=d\r\n\r\nhi";
        let mut fields = Fields::default();
        let (head, _) = parse_response(text, &mut fields, false).unwrap().unwrap();
        let request_id = RequestId::echo_or_make(Some(IDS), || 0);
        let common = Common {
            request_id: &request_id,
            rate: None,
            window: Duration::from_secs(60),
            keep_alive: false,
            minor_version: 1,
        };
        let mut out = Vec::new();
        response_head(text, &head, Frame::Length(2), &common, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 299 Odd Reason\r\nSet-Cookie: a=b\r\ndate: then\r\nSet-Cookie: c=d\r\n\
             X-Request-Id: abc\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        );
    }
}
