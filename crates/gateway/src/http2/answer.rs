//! What the gateway adds to answers, and answers of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode, header};
use regatta_resilience::rate_limit;

use super::body::Download;
use super::request::once;
use crate::http1::name::is_hop_by_hop;
use crate::policy::ids::{RequestId, Trace};
use crate::policy::{Denial, whole_seconds};
use crate::record::Record;
use crate::shared::Shared;

/// What every answer carries.
#[derive(Debug)]
pub(super) struct Stamp {
    pub(super) request_id: RequestId,
    pub(super) trace: Trace,
    pub(super) rate: Option<rate_limit::Decision>,
    pub(super) window: Duration,
    pub(super) is_grpc: bool,
}

/// An error answer: a problem, or for gRPC a trailers-only answer.
pub(super) fn deny(
    denial: &Denial,
    stamp: &Stamp,
    record: Record,
    shared: &Arc<Shared>,
) -> Response<Download> {
    if stamp.is_grpc {
        let fields = denial.grpc_fields();
        let record = record.with(denial.status()).with_code(denial.code());
        return own(200, "application/grpc", &fields, String::new(), stamp, record, shared);
    }
    let body = denial.body(Some(stamp.trace.trace_id()));
    let media_type = regatta_core::Problem::MEDIA_TYPE;
    own(denial.status(), media_type, &denial.fields, body, stamp, record, shared)
}

/// An answer of the gateway's own.
pub(super) fn own(
    status: u16,
    media_type: &'static str,
    fields: &[(&'static str, String)],
    body: String,
    stamp: &Stamp,
    mut record: Record,
    shared: &Arc<Shared>,
) -> Response<Download> {
    if record.status == 0 {
        record.status = status;
    }
    let mut response = Response::new(Download::own(Bytes::from(body), record, shared));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(lower(name)), value);
        }
    }
    stamp_headers(headers, stamp, false);
    response
}

/// Names of header fields are lower case in HTTP/2.
fn lower(name: &'static str) -> &'static str {
    match name {
        "Retry-After" => "retry-after",
        "Allow" => "allow",
        "WWW-Authenticate" => "www-authenticate",
        other => other,
    }
}

/// Takes out what belongs to the upstream connection.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| crate::http1::name::tokens(value.as_bytes()))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .collect();
    let hop_by_hop: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name.as_str().as_bytes())).cloned().collect();
    for name in named.into_iter().chain(hop_by_hop) {
        headers.remove(name);
    }
}

/// Puts in the gateway's own fields; `keep_id` leaves a service's request id.
pub(super) fn stamp_headers(headers: &mut HeaderMap, stamp: &Stamp, keep_id: bool) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    if !(keep_id && headers.contains_key(REQUEST_ID))
        && let Ok(id) = HeaderValue::from_bytes(stamp.request_id.as_bytes())
    {
        headers.insert(REQUEST_ID, once(id));
    }
    let Some(rate) = &stamp.rate else { return };
    let (limit, remaining) = (rate.limit, rate.remaining);
    let (reset, window) = (whole_seconds(rate.until_more()), whole_seconds(stamp.window));
    headers.insert("x-ratelimit-limit", limit.into());
    headers.insert("x-ratelimit-remaining", remaining.into());
    for (name, value) in [
        ("ratelimit", format!("\"client\";r={remaining};t={reset}")),
        ("ratelimit-policy", format!("\"client\";q={limit};w={window}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_nothing_left_is_told_when_the_next_request_passes() {
        let (whole, next) = (Duration::from_secs(60), Duration::from_millis(6_500));
        for (remaining, until) in [(0, 7), (3, 60)] {
            let rate = rate_limit::Decision::new(remaining > 0, 9, remaining, whole, next);
            let stamp = Stamp {
                request_id: RequestId::echo_or_make(Some(b"r"), || 0),
                trace: Trace::pass_or_make(None, || (1, 2)),
                rate: Some(rate),
                window: whole,
                is_grpc: false,
            };
            let mut headers = HeaderMap::new();
            stamp_headers(&mut headers, &stamp, false);
            let said = headers["ratelimit"].to_str().unwrap();
            assert_eq!(said, format!("\"client\";r={remaining};t={until}"));
        }
    }
}
