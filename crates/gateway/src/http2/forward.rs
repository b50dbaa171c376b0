//! One HTTP/2 request's way to an instance and back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;
use http::{HeaderMap, Request, Response, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use regatta_resilience::concurrency::Ending;
use regatta_traffic::clients::client_address;
use regatta_traffic::verdict;
use tokio::time::Instant;

use super::answer::{Stamp, deny, own, stamp_headers, strip};
use super::body::{Download, Upload};
use super::discard::discard;
use super::exchange::{Outgoing, exchange};
use super::idle::Idle;
use super::judged::Judged;
use super::progress::Progress;
use super::replay::{Kept, MOST_KEPT};
use super::request::{self, Rewrite};
use super::streams::Open;
use crate::health;
use crate::http1::Refusal;
use crate::http1::target::is_authority;
use crate::policy::{self, Denial, Rules, Settled, Verdict, decide};
use crate::record::Record;
use crate::shared::{Shared, wall_clock};
use crate::upstream::{Slot, is_overloaded};
use crate::worker::activity::Activity;
use crate::worker::random;

/// Answers one request.
///
/// # Cancel safety
///
/// Cancel safe: a dropped exchange is reset towards the upstream.
pub(super) async fn serve(
    request: Request<Incoming>,
    peer: IpAddr,
    open: Open,
    shared: &Arc<Shared>,
) -> Response<Download> {
    let mut response = answer(request, peer, shared).await;
    response.body_mut().holds(open);
    response
}

async fn answer(
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
    let client = client_address(peer, &rules.trusted, reported);
    let path = parts.uri.path().to_owned();
    let method = parts.method.clone();
    let facts = request::facts(&parts.headers);
    let attempt_before = facts
        .attempt
        .filter(|_| trusts_peer)
        .and_then(|value| std::str::from_utf8(value).ok()?.parse::<u8>().ok())
        .unwrap_or(1)
        .max(1);
    let has_idempotency_key = facts.has_idempotency_key;
    let priority = policy::priority(facts.priority);
    let value = |name: &str| parts.headers.get(name).map(HeaderValue::as_bytes);
    let asked = policy::Request {
        method: method.as_str(),
        path: &path,
        headers: facts,
        field: policy::Lookup(&value),
        client,
        now: started.into_std(),
        wall: wall_clock(),
    };
    let mut settled = Settled::default();
    let mut plan = loop {
        let plan = decide(&rules, &asked, &settled, random::next);
        let Verdict::Wait(wait) = plan.verdict else { break plan };
        settled.rates = plan.rates;
        wait.settle(shared, &rules, &mut settled).await;
    };
    let has_length = !matches!(plan.verdict, Verdict::Forward { is_grpc_route: true, .. });
    let target_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let refusal = refused(&method, &host, &parts.headers, &body, &rules, has_length);
    let is_target_long = target_bytes > rules.limits.target_bytes;
    if let Some(refusal) = is_target_long.then_some(Refusal::TargetTooLong).or(refusal) {
        plan.verdict = Verdict::Deny(Box::new(refusal.into()));
    }
    let record = Record::begin(shared, &mut plan, &asked, Version::HTTP_2, started);
    let shown = plan.rates.shown();
    let stamp = Stamp {
        request_id: plan.request_id,
        trace: plan.trace,
        rate: shown.map(|rate| rate.decision),
        window: shown.map_or(Duration::ZERO, |rate| rate.window),
        is_grpc: plan.is_grpc,
    };
    let (target, path, allowance, caller, version) = match plan.verdict {
        Verdict::Health(health) => {
            let (status, body) = health::answer(health, shared);
            return own(status, "application/json", &[], body, &stamp, record, shared);
        }
        Verdict::Deny(denial) => {
            discard(body);
            return deny(&denial, &stamp, record, shared);
        }
        // Waiting was settled above.
        Verdict::Wait(_) => return deny(&Denial::no_keys(), &stamp, record, shared),
        Verdict::Forward { target, path, from, allowance, caller, version, .. } => {
            (target, path[from..].to_owned(), allowance, caller, version)
        }
    };
    let key = target.key(&facts, client, value);
    request::rewrite(
        &mut parts.headers,
        &Rewrite {
            peer,
            trusts_peer,
            host: &host,
            request_id: &stamp.request_id,
            trace: &stamp.trace,
            caller: caller.as_ref(),
            is_grpc: stamp.is_grpc,
        },
    );
    let progress = Arc::new(Progress::default());
    let most = has_length.then_some(rules.limits.body_bytes);
    // A stream of calls may rest in one direction while the other moves; a plain body may not.
    let activity = Arc::new(Activity::new(started));
    let (idle, answers) = if stamp.is_grpc {
        (rules.timeouts.tunnel_idle, Arc::clone(&activity))
    } else {
        (rules.timeouts.body_idle, Arc::new(Activity::new(started)))
    };
    let is_idempotent = verdict::is_idempotent(method.as_str()) || has_idempotency_key;
    let may_come_again = (is_idempotent || stamp.is_grpc) && !body.is_end_stream();
    let kept = (may_come_again && body.size_hint().lower() <= MOST_KEPT).then(Kept::default);
    let outgoing = Outgoing {
        is_read: verdict::is_read(method.as_str()),
        is_idempotent,
        kept: kept.clone(),
        is_empty: body.is_end_stream(),
        path,
        query: parts.uri.query().map(str::to_owned),
        host,
        key,
        version,
        progress: Arc::clone(&progress),
        started,
        timeout: allowance.timeout,
        deadline: (allowance.is_callers || body.is_end_stream())
            .then(|| started + allowance.timeout),
        is_callers_timeout: allowance.is_callers,
        whole: allowance.whole,
        attempt_before,
        is_grpc: stamp.is_grpc,
        moved: Arc::clone(&activity),
        idle,
    };
    let upload_idle = Idle::new(activity, idle);
    let mut upload =
        Request::new(Upload::new(body, most, kept, Arc::clone(&progress), upload_idle));
    *upload.method_mut() = method;
    *upload.headers_mut() = parts.headers;
    let mut record = record;
    let mut slot = match Slot::take(&target, priority, started + allowance.timeout).await {
        Ok(slot) => slot,
        Err(why) => {
            shared.metrics.shed(&why);
            record.note("regatta.shed", why.name());
            return deny(&Denial::overloaded(target.name(), &why), &stamp, record, shared);
        }
    };
    match exchange(upload, &outgoing, &target, &rules, shared, &mut record).await {
        Err(denial) => {
            let is_late = denial.status() == 504;
            slot.learn(if is_late { Ending::Overloaded } else { Ending::Ignored });
            deny(&denial, &stamp, record, shared)
        }
        Ok((response, answering)) => {
            let is_overloaded = is_overloaded(response.status().as_u16());
            slot.learn(if is_overloaded { Ending::Overloaded } else { Ending::Done });
            let (mut head, body) = response.into_parts();
            head.version = Version::HTTP_2;
            strip(&mut head.headers);
            stamp_headers(&mut head.headers, &stamp, true);
            record.status = head.status.as_u16();
            record.grpc_status(&head.headers);
            let mut body = Download::upstream(body, Idle::new(answers, idle), idle, record, shared);
            body.keeps(slot);
            let own = outgoing.own();
            body.judges(Judged { answering, upload: progress, started, own });
            Response::from_parts(head, body)
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
    has_length: bool,
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
    (has_length && length.is_some_and(|length| length > rules.limits.body_bytes))
        .then_some(Refusal::BodyTooLong)
}
