//! Waits for an answer, and after a delay for a second instance's too.

use std::net::SocketAddr;
use std::pin::pin;

use futures::future::{Either, select};
use http::{Request, Response};
use hyper::body::Incoming;
use regatta_resilience::hedge::Hedge;
use regatta_traffic::cluster::Picked;
use regatta_traffic::fault::Fault;
use tokio::time::{Instant, timeout};

use super::attempt::{Lost, attempt, connect};
use super::exchange::{Outgoing, again, fault, judge, mark, trace_second};
use super::pool;
use crate::policy::Rules;
use crate::record::Record;
use crate::shared::Shared;
use crate::upstream::{Target, Tries};

/// The request, and what it is answered by.
pub(super) struct Asking<'a> {
    pub(super) outgoing: &'a Outgoing,
    pub(super) target: &'a Target,
    pub(super) rules: &'a Rules,
    pub(super) shared: &'a Shared,
    /// Until when the first try is waited for, if it could be repeated.
    pub(super) try_end: Option<Instant>,
    /// The request once more.
    pub(super) spare: &'a Request<()>,
    pub(super) tries: &'a mut Tries,
    pub(super) record: &'a mut Record,
    pub(super) sent: &'a mut u8,
}

/// A second try whose answer stands.
pub(super) struct Second {
    pub(super) picked: Picked<SocketAddr>,
    pub(super) began: Instant,
    /// How the first one ended; none when it was given up.
    pub(super) first: Option<Option<Fault>>,
}

/// How the first try ended; or the answer of a second one, sent because the first had taken longer
/// than is usual for the service, there was another instance, and the budget had a retry.
pub(super) async fn answer(
    first: impl Future<Output = Result<Response<Incoming>, Lost>>,
    picked: &Picked<SocketAddr>,
    began: Instant,
    hedge: &Hedge,
    asking: Asking<'_>,
) -> (Result<Response<Incoming>, Lost>, Option<Second>) {
    let mut first = pin!(first);
    let ended = match hedge.delay(began.into_std()) {
        None => (first.await, None),
        Some(delay) => match timeout(delay, first.as_mut()).await {
            Ok(ended) => (ended, None),
            Err(_) => asking.race(first, picked).await,
        },
    };
    // How soon a try fails says nothing about how long an answer takes.
    if stands(&ended.0) {
        let now = Instant::now();
        hedge.observe(now.into_std(), now.duration_since(began));
    }
    ended
}

impl Asking<'_> {
    async fn race(
        self,
        first: impl Future<Output = Result<Response<Incoming>, Lost>> + Unpin,
        picked: &Picked<SocketAddr>,
    ) -> (Result<Response<Incoming>, Lost>, Option<Second>) {
        let Self { outgoing, target, rules, shared, try_end, spare, tries, record, sent } = self;
        let now = Instant::now().into_std();
        let Some(second) = tries.second(target, &outgoing.hints(), picked.member(), now) else {
            shared.metrics.hedged("denied");
            return (first.await, None);
        };
        record.attempts = record.attempts.saturating_add(1);
        *sent = sent.saturating_add(1);
        let mut head = spare.clone();
        trace_second(head.headers_mut(), &second, record);
        mark(head.headers_mut(), outgoing, *sent);
        let other = pin!(ask(second, head, outgoing, rules, try_end));
        let (ended, won) = match select(first, other).await {
            Either::Left((ended, _)) if stands(&ended) => (ended, None),
            Either::Left((ended, other)) => {
                let first = fault(&ended, outgoing, false);
                match other.await {
                    Some((response, won)) => (Ok(response), Some(won.after(first))),
                    None => (ended, None),
                }
            }
            Either::Right((Some((response, won)), _)) => (Ok(response), Some(won)),
            Either::Right((None, first)) => (first.await, None),
        };
        shared.metrics.hedged(if won.is_some() { "second" } else { "first" });
        record.hedge_ended(won.is_some());
        (ended, won)
    }
}

impl Second {
    fn after(mut self, first: Option<Fault>) -> Self {
        self.first = Some(first);
        self
    }
}

fn stands(ended: &Result<Response<Incoming>, Lost>) -> bool {
    ended.as_ref().is_ok_and(|response| judge(response, false).failure.is_none())
}

/// Sends the request to the second instance; none when no answer of it stands.
async fn ask(
    picked: Picked<SocketAddr>,
    head: Request<()>,
    outgoing: &Outgoing,
    rules: &Rules,
    try_end: Option<Instant>,
) -> Option<(Response<Incoming>, Second)> {
    let (address, began) = (*picked.data(), Instant::now());
    let reused = pool::take(address, false, began, rules.timeouts.upstream_idle);
    let is_reused = reused.is_some();
    let connected = match reused {
        Some(sender) => Ok(sender),
        None => connect(address, outgoing, began + rules.timeouts.connect).await,
    };
    let ended = match (connected, again(head, outgoing)) {
        (Ok(sender), Some(upload)) => {
            attempt(sender, upload, outgoing, address, try_end, rules).await
        }
        (Ok(_), None) => return None,
        (Err(how), _) => {
            _ = picked.conclude(began.into_std(), Some(Fault::Silent(how)), began.elapsed());
            return None;
        }
    };
    if stands(&ended) {
        let response = ended.ok()?;
        return Some((response, Second { picked, began, first: None }));
    }
    let (fault, now) = (fault(&ended, outgoing, is_reused), Instant::now());
    _ = picked.conclude(now.into_std(), fault, now.duration_since(began));
    None
}
