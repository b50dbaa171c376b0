//! Reads a request's header map for the rules, and rewrites it for the upstream.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri, header};
use regatta_core::{ENVOY_TIMEOUT, GRPC_TIMEOUT, format_grpc_timeout};

use crate::http1::Headers;
use crate::http1::name::{Name, classify};
use crate::policy::ids::{RequestId, Trace};
use crate::policy::{Caller, forwarded};

// Known beforehand, these cost neither a check nor memory.
const ATTEMPT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
const CALL_TIMEOUT: HeaderName = HeaderName::from_static(GRPC_TIMEOUT);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TIMEOUT: HeaderName = HeaderName::from_static(ENVOY_TIMEOUT);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const USER_ROLES: HeaderName = HeaderName::from_static("x-user-roles");

/// What the rules look at, from a header map.
pub(super) fn facts(map: &HeaderMap) -> Headers<'_> {
    let mut headers = Headers::default();
    for (name, value) in map {
        let value = value.as_bytes();
        // The first of each name stands; a caller's own address is looked for only where it is believed.
        let field = match classify(name.as_str().as_bytes()) {
            Name::Authorization => {
                headers.ambiguous_authorization |= headers.authorization.is_some();
                &mut headers.authorization
            }
            Name::IdempotencyKey => {
                headers.has_idempotency_key = true;
                continue;
            }
            Name::ClientId => &mut headers.client_id,
            Name::RequestId => &mut headers.request_id,
            Name::Traceparent => &mut headers.traceparent,
            Name::ContentType => &mut headers.content_type,
            Name::GrpcTimeout => &mut headers.grpc_timeout,
            Name::EnvoyTimeout => &mut headers.envoy_timeout,
            Name::AttemptCount => &mut headers.attempt,
            Name::Priority => &mut headers.priority,
            _ => continue,
        };
        field.get_or_insert(value);
    }
    headers
}

/// What the gateway says to the upstream beside the client's own fields.
#[derive(Debug)]
pub(super) struct Rewrite<'r> {
    pub(super) peer: IpAddr,
    pub(super) trusts_peer: bool,
    pub(super) host: &'r str,
    pub(super) request_id: &'r RequestId,
    pub(super) trace: &'r Trace,
    pub(super) caller: Option<&'r Caller>,
    pub(super) is_grpc: bool,
}

/// Takes out what is not passed on and puts in what the gateway says.
pub(super) fn rewrite(map: &mut HeaderMap, rewrite: &Rewrite<'_>) {
    let existing: Vec<(HeaderName, HeaderValue)> = if rewrite.trusts_peer {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    } else {
        Vec::new()
    };
    let wants_trailers = map.get(header::TE).is_some_and(|te| te.as_bytes() == b"trailers");
    let is_dropped = |name: &&HeaderName| match classify(name.as_str().as_bytes()) {
        Name::Tracestate => !rewrite.trace.is_callers,
        Name::Identity
        | Name::Disguised
        | Name::Forwarded
        | Name::ForwardedFor
        | Name::ForwardedHost
        | Name::ForwardedProto
        | Name::RequestId
        | Name::Traceparent
        | Name::AttemptCount
        | Name::EnvoyTimeout
        | Name::GrpcTimeout
        | Name::Host
        | Name::Expect => true,
        name => name.is_hop_by_hop(),
    };
    let dropped: Vec<HeaderName> = map.keys().filter(is_dropped).cloned().collect();
    for name in dropped {
        map.remove(name);
    }
    if wants_trailers && rewrite.is_grpc {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let mut lines = Vec::with_capacity(256);
    let existing = existing.iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes()));
    forwarded::write(existing, rewrite.peer, rewrite.host.as_bytes(), &mut lines);
    for line in lines.split(|byte| *byte == b'\n') {
        let mut parts = line.strip_suffix(b"\r").unwrap_or(line).splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        let name = match classify(name) {
            Name::Forwarded => header::FORWARDED,
            Name::ForwardedFor => FORWARDED_FOR,
            Name::ForwardedHost => FORWARDED_HOST,
            Name::ForwardedProto => FORWARDED_PROTO,
            _ => continue,
        };
        set(map, name, value.trim_ascii());
    }
    for (name, value) in
        [(REQUEST_ID, rewrite.request_id.as_bytes()), (TRACEPARENT, &rewrite.trace.header[..])]
    {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.insert(name, once(value));
        }
    }
    if let Some(caller) = rewrite.caller {
        set(map, USER_ID, caller.user_id().as_bytes());
        let roles: Vec<&str> = caller.roles().collect();
        set(map, USER_ROLES, roles.join(",").as_bytes());
    }
}

/// Says how much time is left until the head of the answer, and until the end of a call whose
/// caller has set one; not nothing, which would be no request at all.
pub(super) fn set_timeout(map: &mut HeaderMap, left: Duration, whole: Option<Duration>) {
    let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    map.insert(TIMEOUT, left.max(1).into());
    if let Some(whole) = whole {
        let whole = whole.max(Duration::from_millis(1));
        set(map, CALL_TIMEOUT, format_grpc_timeout(whole).as_bytes());
    }
}

/// Makes one field of the cookies that HTTP/2 may split (RFC 9113, section 8.2.3): HTTP/1.1 knows
/// one.
pub(super) fn join_cookies(map: &mut HeaderMap) {
    let mut all = map.get_all(header::COOKIE).iter();
    if all.nth(1).is_none() {
        return;
    }
    let values: Vec<&[u8]> =
        map.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b"; "[..])) {
        map.insert(header::COOKIE, joined);
    }
}

/// Says which attempt it is.
pub(super) fn set_attempt(map: &mut HeaderMap, attempt: u8) {
    map.insert(ATTEMPT, u16::from(attempt).into());
}

/// The target at the upstream: origin-form for HTTP/1.1, with an authority for HTTP/2.
pub(super) fn target(path: &str, query: Option<&str>, authority: Option<&str>) -> Option<Uri> {
    let path = if path.is_empty() { "/" } else { path };
    let path_and_query = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let builder = Uri::builder().path_and_query(path_and_query);
    match authority {
        Some(authority) => builder.scheme("http").authority(authority).build().ok(),
        None => builder.build().ok(),
    }
}

/// A value that does not come again. HPACK then keeps it out of the table of both sides (RFC 7541,
/// section 6.2.3), where it would push out what does, and be compared with each later one.
pub(super) fn once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn set(map: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        map.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_out_what_a_client_may_not_say_and_keeps_the_rest() {
        let mut map = HeaderMap::new();
        for (name, value) in [
            ("x-user-id", "99"),
            ("x_user_roles", "admin"),
            ("x-forwarded-for", "6.6.6.6"),
            ("te", "trailers"),
            ("tracestate", "a=b"),
            ("x-envoy-attempt-count", "5"),
            ("accept", "*/*"),
            ("grpc-timeout", "1H"),
            ("x-envoy-expected-rq-timeout-ms", "9"),
        ] {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let request_id = RequestId::echo_or_make(Some(b"r"), || 0);
        let trace = Trace::pass_or_make(None, || (1, 2));
        let caller = Caller::for_test("1", &["user"]);
        rewrite(
            &mut map,
            &Rewrite {
                peer: "192.0.2.1".parse().unwrap(),
                trusts_peer: false,
                host: "shop",
                request_id: &request_id,
                trace: &trace,
                caller: Some(&caller),
                is_grpc: true,
            },
        );
        let get = |name: &str| map.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(get("x-user-id"), Some("1"));
        assert_eq!(get("x-user-roles"), Some("user"));
        assert_eq!(get("x_user_roles"), None);
        assert_eq!(get("x-forwarded-for"), Some("192.0.2.1"));
        assert_eq!(get("te"), Some("trailers"));
        assert_eq!(get("tracestate"), None);
        assert_eq!(get("x-envoy-attempt-count"), None);
        assert_eq!(get("accept"), Some("*/*"));
        assert_eq!((get("grpc-timeout"), get("x-envoy-expected-rq-timeout-ms")), (None, None));
        assert_eq!(get("x-request-id"), Some("r"));
    }

    #[test]
    fn what_time_is_left_is_said_to_the_head_and_to_the_end() {
        let mut map = HeaderMap::new();
        set_timeout(&mut map, Duration::from_secs(3), None);
        assert_eq!(map["x-envoy-expected-rq-timeout-ms"], "3000");
        assert!(!map.contains_key("grpc-timeout"), "no stream is cut by the route's time");
        set_timeout(&mut map, Duration::ZERO, Some(Duration::ZERO));
        assert_eq!(map["x-envoy-expected-rq-timeout-ms"], "1", "nothing would be no request");
        assert_eq!(map["grpc-timeout"], "1000000n");
    }

    #[test]
    fn cookies_that_were_split_are_one_field_again() {
        let mut map = HeaderMap::new();
        for value in ["a=1", "b=2; c=3", "d=4"] {
            map.append(header::COOKIE, HeaderValue::from_static(value));
        }
        join_cookies(&mut map);
        let all: Vec<_> = map.get_all(header::COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2; c=3; d=4"]);
    }

    #[test]
    fn the_target_keeps_its_query() {
        let uri = target("/a", Some("b=c"), Some("h:1")).unwrap();
        assert_eq!(uri.to_string(), "http://h:1/a?b=c");
        assert_eq!(target("", None, None).unwrap().to_string(), "/");
    }
}
