//! One HTTP/2 request's way to an instance and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use regatta_resilience::breaker::{Outcome, Permit};
use regatta_resilience::rate_limit;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{Download, Upload, UploadError};
use super::pool::{self, Sender};
use super::request::{self, Rewrite};
use crate::health;
use crate::http1::Refusal;
use crate::http1::name::is_hop_by_hop;
use crate::http1::target::is_authority;
use crate::policy::ids::{RequestId, Trace};
use crate::policy::{self, Denial, Rules, Verdict, decide, forwarded, whole_seconds};
use crate::record::Record;
use crate::shared::{Shared, wall_clock};
use crate::upstream::{Tried, Upstream, retry};
use crate::worker::random;

/// What every answer carries.
struct Stamp {
    request_id: RequestId,
    trace: Trace,
    rate: Option<rate_limit::Decision>,
    window: Duration,
    is_grpc: bool,
}

/// Answers one request.
///
/// # Cancel safety
///
/// Cancel safe: a dropped exchange is reset towards the upstream.
pub(super) async fn serve(
    request: Request<Incoming>,
    peer: IpAddr,
    shared: &Arc<Shared>,
) -> Response<Download> {
    let started = Instant::now();
    let rules = shared.rules.load_full();
    let (mut parts, body) = request.into_parts();
    let host = parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()))
        .unwrap_or("")
        .to_owned();
    let trusts_peer = rules.trusted.iter().any(|network| network.contains(peer));
    let reported = parts.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    let client = forwarded::client_address(peer, &rules.trusted, reported);
    let path = parts.uri.path().to_owned();
    let method = parts.method.clone();
    let facts = request::facts(&parts.headers);
    let attempt_before = facts
        .attempt
        .filter(|_| trusts_peer)
        .and_then(|value| std::str::from_utf8(value).ok()?.parse::<u8>().ok())
        .unwrap_or(1)
        .max(1);
    let asked = policy::Request {
        method: method.as_str(),
        path: &path,
        headers: facts,
        client,
        now: started.into_std(),
        wall: wall_clock(),
    };
    let mut plan = decide(&rules, &asked, random::next);
    if let Some(refusal) = refused(&method, &host, &parts.headers, &body, &rules, plan.is_grpc) {
        plan.verdict = Verdict::Deny(Box::new(refusal.into()));
    }
    let record = Record::begin(shared, &plan, method.as_str(), &path, client, started);
    let window = rules.limiter.as_ref().map_or(Duration::ZERO, |limiter| limiter.window());
    let stamp = Stamp {
        request_id: plan.request_id,
        trace: plan.trace,
        rate: plan.rate,
        window,
        is_grpc: plan.is_grpc,
    };
    let (upstream, path, allowance, caller) = match plan.verdict {
        Verdict::Health(health) => {
            let (status, body) = health::answer(health, shared);
            return own(status, "application/json", &[], body, &stamp, record, shared);
        }
        Verdict::Deny(denial) => return deny(&denial, &stamp, record, shared),
        Verdict::Forward { upstream, path, from, allowance, caller } => {
            (upstream, path[from..].to_owned(), allowance, caller)
        }
    };
    request::rewrite(
        &mut parts.headers,
        &Rewrite {
            peer,
            trusts_peer,
            host: &host,
            request_id: &stamp.request_id,
            trace: &stamp.trace,
            caller: caller.as_ref(),
            timeout: allowance.timeout,
            is_callers_timeout: allowance.is_callers,
            is_grpc: stamp.is_grpc,
        },
    );
    let ended = Arc::new(Notify::new());
    let most = (!stamp.is_grpc).then_some(rules.limits.body_bytes);
    let outgoing = Outgoing {
        is_idempotent: retry::is_idempotent(method.as_str()),
        is_empty: body.is_end_stream(),
        path,
        query: parts.uri.query().map(str::to_owned),
        host,
        ended: Arc::clone(&ended),
        timeout: allowance.timeout,
        deadline: (allowance.is_callers || body.is_end_stream())
            .then(|| started + allowance.timeout),
        is_callers_timeout: allowance.is_callers,
        attempt_before,
        is_grpc: stamp.is_grpc,
    };
    let mut upload = Request::new(Upload::new(body, most, ended));
    *upload.method_mut() = method;
    *upload.headers_mut() = parts.headers;
    let mut record = record;
    match exchange(upload, &outgoing, &upstream, &rules, shared, &mut record).await {
        Err(denial) => deny(&denial, &stamp, record, shared),
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            head.version = Version::HTTP_2;
            strip(&mut head.headers);
            stamp_headers(&mut head.headers, &stamp, true);
            record.status = head.status.as_u16();
            Response::from_parts(head, Download::upstream(body, record, shared))
        }
    }
}

/// What HTTP/2 lets through and this gateway does not.
fn refused(
    method: &http::Method,
    host: &str,
    headers: &HeaderMap,
    body: &Incoming,
    rules: &Rules,
    is_grpc: bool,
) -> Option<Refusal> {
    if matches!(*method, http::Method::CONNECT | http::Method::TRACE) {
        return Some(Refusal::Method);
    }
    if !is_authority(host) {
        return Some(Refusal::Malformed("the authority is missing or malformed"));
    }
    if headers.len() > rules.limits.headers {
        return Some(Refusal::HeadTooLong);
    }
    let length = body.size_hint().exact().or_else(|| {
        headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok())
    });
    (!is_grpc && length.is_some_and(|length| length > rules.limits.body_bytes))
        .then_some(Refusal::BodyTooLong)
}

/// What attempts need to know beside the request itself.
struct Outgoing {
    is_idempotent: bool,
    is_empty: bool,
    path: String,
    query: Option<String>,
    host: String,
    ended: Arc<Notify>,
    timeout: Duration,
    /// Known from the start when it is the caller's own, or when there is no body to wait for.
    deadline: Option<Instant>,
    is_callers_timeout: bool,
    attempt_before: u8,
    is_grpc: bool,
}

/// How an attempt ended without an answer; with the request if it was not sent.
enum Lost {
    Unsent(Box<Request<Upload>>),
    Broken,
    TooLong,
    TooLate,
}

async fn exchange(
    mut upload: Request<Upload>,
    outgoing: &Outgoing,
    upstream: &Arc<Upstream>,
    rules: &Rules,
    shared: &Shared,
    record: &mut Record,
) -> Result<Response<Incoming>, Denial> {
    let cluster = upstream.cluster();
    let name = upstream.name.as_str();
    let retries = if outgoing.attempt_before > 1 { 0 } else { rules.resilience.retries };
    let mut tried = Tried::default();
    // Stale connections are tried again without counting, as often as there can be any.
    let mut stale = 0;
    loop {
        let now = Instant::now();
        let no_instance = || Denial::no_instance(name);
        let number = cluster.pick(random::next(), tried, now.into_std()).ok_or_else(no_instance)?;
        let member = cluster.member(number);
        let Ok(permit) = member.breaker.admit(now.into_std()) else {
            shared.metrics.breaker_rejected();
            tried.insert(number);
            continue;
        };
        record.attempts = record.attempts.saturating_add(1);
        request::set_attempt(
            upload.headers_mut(),
            outgoing.attempt_before.saturating_add(record.attempts - 1).min(9),
        );
        let spare = spare(&upload, outgoing);
        let may_go_on = |tried: Tried, attempts: u8| {
            let now = Instant::now().into_std();
            attempts <= retries
                && cluster.pick(0, tried, now).is_some()
                && upstream.budget.withdraw(now)
        };
        let reused =
            pool::take(member.address, outgoing.is_grpc, now, rules.timeouts.upstream_idle);
        let is_reused = reused.is_some();
        let sender = match reused {
            Some(sender) => Ok(sender),
            None => {
                let connect = pool::connect(member.address, outgoing.is_grpc);
                timeout(rules.timeouts.connect, connect).await.ok().and_then(Result::ok).ok_or(())
            }
        };
        let ended = match sender {
            Ok(sender) => attempt(sender, upload, outgoing, member.address, rules).await,
            Err(()) => Err(Lost::Unsent(Box::new(upload))),
        };
        let next = match ended {
            Ok(response) => {
                let failed = retry::is_unavailable(response.status().as_u16());
                count(permit, upstream, failed);
                tried.insert(number);
                match spare {
                    Some(spare) if failed && may_go_on(tried, record.attempts) => spare,
                    _ => return Ok(response),
                }
            }
            Err(Lost::Unsent(again)) if is_reused && stale < 4 => {
                stale += 1;
                record.attempts -= 1;
                drop(permit);
                *again
            }
            Err(Lost::Unsent(again)) => {
                count(permit, upstream, true);
                tried.insert(number);
                if !may_go_on(tried, record.attempts) {
                    return Err(no_instance());
                }
                *again
            }
            Err(Lost::Broken) => {
                count(permit, upstream, true);
                tried.insert(number);
                match spare {
                    Some(spare) if may_go_on(tried, record.attempts) => spare,
                    _ => {
                        return Err(Denial::bad_upstream(
                            name,
                            "the connection broke before the answer",
                        ));
                    }
                }
            }
            Err(Lost::TooLong) => return Err(Refusal::BodyTooLong.into()),
            Err(Lost::TooLate) => {
                if !outgoing.is_callers_timeout {
                    count(permit, upstream, true);
                }
                return Err(Denial::timed_out(name, outgoing.timeout));
            }
        };
        upload = next;
        if record.attempts > 0 {
            shared.metrics.retried();
        }
    }
}

fn count(permit: Permit, upstream: &Upstream, failed: bool) {
    let now = Instant::now().into_std();
    permit.record(now, if failed { Outcome::Failure } else { Outcome::Success });
    if !failed {
        upstream.budget.deposit(now);
    }
}

/// A copy to send again, of a request that may be and has no body.
fn spare(upload: &Request<Upload>, outgoing: &Outgoing) -> Option<Request<Upload>> {
    if !outgoing.is_idempotent || !outgoing.is_empty {
        return None;
    }
    let empty = Upload::empty(Arc::clone(&outgoing.ended));
    let mut spare = Request::new(empty);
    *spare.method_mut() = upload.method().clone();
    *spare.headers_mut() = upload.headers().clone();
    Some(spare)
}

async fn attempt(
    sender: Sender,
    mut upload: Request<Upload>,
    outgoing: &Outgoing,
    address: SocketAddr,
    rules: &Rules,
) -> Result<Response<Incoming>, Lost> {
    let query = outgoing.query.as_deref();
    let many = matches!(sender, Sender::Many(_));
    let host = Some(outgoing.host.as_str()).filter(|host| !host.is_empty());
    let uri = request::target(&outgoing.path, query, host.filter(|_| many)).ok_or(Lost::Broken)?;
    *upload.uri_mut() = uri;
    *upload.version_mut() = if many { Version::HTTP_2 } else { Version::HTTP_11 };
    if let (false, Some(host)) = (many, host)
        && let Ok(host) = HeaderValue::from_str(host)
    {
        upload.headers_mut().insert(header::HOST, host);
    }
    let send = async {
        match sender {
            Sender::One(mut sender) => {
                let response = sender.try_send_request(upload).await.map_err(lost)?;
                let most = rules.limits.idle_upstream;
                pool::put(address, Sender::One(sender), Instant::now(), most);
                Ok(response)
            }
            Sender::Many(mut sender) => {
                if sender.ready().await.is_err() {
                    return Err(Lost::Unsent(Box::new(upload)));
                }
                sender.try_send_request(upload).await.map_err(lost)
            }
        }
    };
    if let Some(deadline) = outgoing.deadline {
        return timeout_at(deadline, send).await.unwrap_or(Err(Lost::TooLate));
    }
    // The service gets its whole time once it has the whole body.
    let too_late = async {
        outgoing.ended.notified().await;
        tokio::time::sleep(outgoing.timeout).await;
    };
    tokio::select! {
        ended = send => ended,
        () = too_late => Err(Lost::TooLate),
    }
}

fn lost(mut error: hyper::client::conn::TrySendError<Request<Upload>>) -> Lost {
    if let Some(upload) = error.take_message() {
        return Lost::Unsent(Box::new(upload));
    }
    let error = error.into_error();
    let mut cause = std::error::Error::source(&error);
    while let Some(found) = cause {
        if matches!(found.downcast_ref(), Some(UploadError::TooLong)) {
            return Lost::TooLong;
        }
        cause = found.source();
    }
    Lost::Broken
}

fn deny(
    denial: &Denial,
    stamp: &Stamp,
    record: Record,
    shared: &Arc<Shared>,
) -> Response<Download> {
    let mut fields = denial.fields.clone();
    if stamp.is_grpc {
        fields.push(("grpc-status", denial.code().grpc().to_string()));
        fields.push(("grpc-message", crate::grpc::encode_message(&denial.problem.detail)));
        let record = record.with(denial.status());
        return own(200, "application/grpc", &fields, String::new(), stamp, record, shared);
    }
    let body = denial.body(Some(stamp.trace.trace_id()));
    let media_type = regatta_core::Problem::MEDIA_TYPE;
    own(denial.status(), media_type, &fields, body, stamp, record, shared)
}

fn own(
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

fn strip(headers: &mut HeaderMap) {
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

fn stamp_headers(headers: &mut HeaderMap, stamp: &Stamp, keep_id: bool) {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    if !(keep_id && headers.contains_key(REQUEST_ID))
        && let Ok(id) = HeaderValue::from_bytes(stamp.request_id.as_bytes())
    {
        headers.insert(REQUEST_ID, id);
    }
    let Some(rate) = &stamp.rate else { return };
    let (limit, remaining) = (rate.limit, rate.remaining);
    let (reset, window) = (whole_seconds(rate.reset), whole_seconds(stamp.window));
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
