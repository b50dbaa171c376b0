//! A try at one instance, and at a second one when that takes long.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use regatta_traffic::cluster::Picked;

use crate::attempt::{self, Ended};
use crate::call::{Call, next, now};
use crate::course::Course;
use crate::replay::Replay;
use crate::transport::Pool;

/// Tries at one instance; if that takes long and the call is a read, at a second one too.
pub(crate) async fn attempt(
    call: &Call,
    picked: Picked<Pool>,
    body: &mut Replay,
    course: &mut Course,
) -> Ended {
    let first = attempt::make(call, picked, next(body), course.trial(call));
    let may_hedge = call.is_read && course.is_kept && !course.serves_retry;
    let hedge = call.target.hedge(&call.options).filter(|_| may_hedge);
    let Some(hedge) = hedge else { return first.await };
    let began = now();
    let ended = match hedge.delay(began) {
        Some(delay) => race(call, first, delay, body, course).await,
        None => first.await,
    };
    // How soon a call fails says nothing about how long an answer takes.
    if ended.failure.is_none() {
        let now = now();
        hedge.observe(now, now.saturating_duration_since(began));
    }
    ended
}

/// Waits for the first try, and after the delay also for a second one elsewhere.
async fn race(
    call: &Call,
    first: impl Future<Output = Ended>,
    delay: Duration,
    body: &mut Replay,
    course: &mut Course,
) -> Ended {
    let mut first = pin!(first);
    if let Ok(ended) = tokio::time::timeout(delay, first.as_mut()).await {
        return ended;
    }
    let Some(picked) = second(call, course) else { return first.await };
    course.sent += 1;
    let second = pin!(attempt::make(call, picked, next(body), course.trial(call)));
    // One that fails leaves it to the other; the slower one is cancelled on the wire.
    let (ended, won) = match select(first, second).await {
        Either::Left((ended, _)) if ended.failure.is_none() => (ended, "first"),
        Either::Left((_, second)) => (second.await, "second"),
        Either::Right((ended, _)) if ended.failure.is_none() => (ended, "second"),
        Either::Right((_, first)) => (first.await, "first"),
    };
    call.target.metrics().hedge(call.target.name(), won);
    ended.annotate("regatta.client.hedge", won);
    ended
}

/// Another instance for a call that takes long, if there is one and the budget has a retry.
fn second(call: &Call, course: &mut Course) -> Option<Picked<Pool>> {
    let (target, now) = (&call.target, now());
    let found = || {
        if !target.has_another(now, &course.tried, &call.hints()) {
            return None;
        }
        let withdrawal = target.budget().take(now)?;
        let picked = target.pick(now, &course.tried, &call.hints()).ok()?;
        withdrawal.spend();
        Some(picked)
    };
    let found = found();
    match &found {
        Some(picked) => course.tried.insert(picked.member()),
        None => target.metrics().hedge(target.name(), "denied"),
    }
    found
}
