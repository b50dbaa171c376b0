//! One process's part in a consumer group: claims, hands out and settles for its subscribers.
//!
//! All that its subscribers want at a time is one change of the group's state: many settle and claim
//! at the price of one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use futures::FutureExt;
use regatta_events::{BusError, FailedDelivery, GroupName, Next, Verdict};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::ahead::Ahead;
use crate::group::{Claim, Group, hash};
use crate::link::{Link, unavailable};
use crate::orders::{Given, Order, Settling, Waiting};
use crate::seen::{Seen, next_due};
use crate::{letters, states};

/// For how long a change is tried that other processes are faster with, before all is begun anew.
const TRIES: Duration = Duration::from_secs(10);
/// The longest pause before it is tried again: at first none, at most this.
const LONGEST_PAUSE: u64 = 10;

/// How often it is looked whether something was missed.
const LOOK: Duration = Duration::from_secs(1);

/// Passed over without anything to claim, so many events are worth a write of their own.
const WORTH_WRITING: u64 = 1000;

/// How often a process lets go of old events.
const TRIM_EVERY: Duration = Duration::from_secs(600);

pub(crate) struct Member {
    link: Arc<Link>,
    name: GroupName,
    /// Who this is, in the states it sets.
    me: String,
    orders: mpsc::Receiver<Order>,
    /// The state as it was last seen, perhaps with more passed over, and its revision.
    state: Option<(Group, u64)>,
    /// Up to where the state in NATS has gone.
    written: u64,
    /// When each turn was first seen here.
    seen: HashMap<u64, Instant>,
    ahead: Ahead,
    /// What other processes have set.
    news: Option<Subscriber>,
    connects: u64,
    waiting: VecDeque<Waiting>,
    settling: Vec<Settling>,
    /// Claims that nobody took.
    returned: Vec<Claim>,
    /// The turns of claims whose letters are as they are to be: a change that others were faster with
    /// is tried again without another look at them.
    told: HashSet<u64>,
    trimmed_at: Option<Instant>,
}

impl Member {
    pub(crate) fn new(link: Arc<Link>, name: GroupName, orders: mpsc::Receiver<Order>) -> Self {
        let me = format!("{:016x}", rand::random::<u64>());
        let connects = link.connects();
        Self {
            link,
            name,
            me,
            orders,
            state: None,
            written: 0,
            seen: HashMap::new(),
            ahead: Ahead::default(),
            news: None,
            connects,
            waiting: VecDeque::new(),
            settling: Vec::new(),
            returned: Vec::new(),
            told: HashSet::new(),
            trimmed_at: None,
        }
    }

    /// Works until the last subscriber and the last unsettled delivery are gone.
    pub(crate) async fn run(mut self) {
        loop {
            let wakes_at = self.wakes_at();
            let position = self.state.as_ref().map_or(0, |(group, _)| group.position);
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => {
                        self.take(order);
                        while let Ok(order) = self.orders.try_recv() {
                            self.take(order);
                        }
                    }
                    None => return self.give_back().await,
                },
                () = self.ahead.read(position) => {
                    // What is there besides goes into the same change.
                    while self.ahead.read(position).now_or_never().is_some() {}
                }
                () = states::foreign(&mut self.news, &self.me) => self.state = None,
                // News may be lost with a connection.
                () = tokio::time::sleep_until(wakes_at) => self.state = None,
            }
            if let Err(error) = self.turn().await {
                self.give_up(&error);
            }
            self.trim_now_and_then().await;
        }
    }

    /// Gives back what nobody took, before this member is gone.
    async fn give_back(&mut self) {
        if let Err(error) = self.turn().await {
            let error = regatta_core::Chain(&error);
            tracing::debug!(%error, "events not given back; they come again after their lease");
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Claim(waiting) => self.waiting.push_back(waiting),
            Order::Settle(settling) => self.settling.push(*settling),
            Order::Return(claims) => self.returned.extend(claims),
        }
    }

    /// When something is due without anybody saying so.
    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        if !self.returned.is_empty() {
            return now;
        }
        if self.waiting.is_empty() {
            return now + TRIM_EVERY;
        }
        let waits = self.state.iter().flat_map(|(group, _)| group.waits());
        next_due(waits, &self.seen, now).unwrap_or(now + LOOK).min(now + LOOK)
    }

    /// Does what is to do, in one change of the state.
    async fn turn(&mut self) -> Result<(), BusError> {
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        if self.link.connects() != self.connects {
            // What came while the connection was away is lost.
            self.connects = self.link.connects();
            self.ahead.forget();
            self.state = None;
        }
        if self.waiting.is_empty() && self.settling.is_empty() && self.returned.is_empty() {
            return Ok(());
        }
        self.told.clear();
        let begun = Instant::now();
        let mut lost_to_others = 0;
        while begun.elapsed() < TRIES {
            if self.change().await? {
                return Ok(());
            }
            // Another process was faster. Who has lost several times lets others pass.
            self.state = None;
            let pause = rand::random_range(0..=LONGEST_PAUSE.min(lost_to_others));
            tokio::time::sleep(Duration::from_millis(pause)).await;
            lost_to_others += 1;
        }
        Err(unavailable("other processes change the consumer group all the time"))
    }

    /// One try of a turn; false when another process was faster.
    async fn change(&mut self) -> Result<bool, BusError> {
        let (current, revision) = self.current().await?;
        let mut next = current.clone();
        let lost = self.settle(&mut next).await?;
        let given = self.claims(&mut next).await?;
        let passed = next.position.saturating_sub(self.written);
        let is_worth_it = next.without_position() != current.without_position()
            || passed >= WORTH_WRITING
            || !given.is_empty();
        if !is_worth_it {
            self.state = Some((next, revision));
            self.returned.clear();
            self.answer_settled(&lost);
            return Ok(true);
        }
        let set = states::set(&self.link, &self.name, (&next, revision), &self.me).await?;
        let Some(revision) = set else { return Ok(false) };
        self.written = next.position;
        self.see(&next);
        self.ahead.prune(&next);
        self.state = Some((next, revision));
        self.returned.clear();
        self.answer_settled(&lost);
        self.hand_out(given).await?;
        Ok(true)
    }

    /// The state, read again when it may have changed; the log is read on from there.
    async fn current(&mut self) -> Result<(Group, u64), BusError> {
        if self.news.is_none() {
            let subject = self.link.names.group(&self.name);
            self.news = Some(self.link.client.subscribe(subject).await.map_err(unavailable)?);
        }
        let (group, revision) = match &self.state {
            Some(state) => state.clone(),
            None => {
                let unknown = || BusError::UnknownGroup { group: self.name.clone() };
                let loaded = states::load(&self.link, &self.name).await?.ok_or_else(unknown)?;
                self.written = loaded.0.position;
                self.see(&loaded.0);
                loaded
            }
        };
        if let Some(waiting) = self.waiting.back() {
            self.ahead.want(&self.link, &waiting.asks.types, self.written).await?;
        }
        self.state = Some((group.clone(), revision));
        Ok((group, revision))
    }

    /// Remembers since when each wait is known.
    fn see(&mut self, group: &Group) {
        let now = Instant::now();
        let seen = std::mem::take(&mut self.seen);
        let waits = group.waits();
        self.seen =
            waits.map(|(turn, _)| (turn, seen.get(&turn).copied().unwrap_or(now))).collect();
    }

    /// Settles what is to be settled; answers which of it was lost.
    async fn settle(&mut self, next: &mut Group) -> Result<Vec<bool>, BusError> {
        for claim in &self.returned {
            next.release(*claim);
        }
        let mut lost = Vec::new();
        for settling in &self.settling {
            let claim = settling.claim;
            let has_letter = next.held(claim).map(|open| open.has_letter);
            lost.push(has_letter.is_none());
            let Some(has_letter) = has_letter else { continue };
            let (outcome, reason) = match &settling.verdict {
                Verdict::Ack => {
                    if has_letter && !self.told.contains(&claim.turn) {
                        letters::delete(&self.link, &self.name, claim.position).await?;
                        self.told.insert(claim.turn);
                    }
                    next.close(claim);
                    continue;
                }
                Verdict::Away(pause) => {
                    next.take_back(claim, *pause);
                    continue;
                }
                Verdict::Retry(reason) => (settling.asks.after_failure(claim.number), reason),
                Verdict::Reject(reason) => (Next::Dead, reason),
            };
            if !self.told.contains(&claim.turn) {
                let letter = (claim, &settling.event, has_letter, reason.as_str());
                letters::tell(&self.link, &self.name, letter).await?;
                self.told.insert(claim.turn);
            }
            next.fail(claim, outcome);
        }
        Ok(lost)
    }

    /// Claims events for each who waits, as far as there are any.
    async fn claims(&mut self, next: &mut Group) -> Result<Vec<Vec<Claim>>, BusError> {
        let Some(Waiting { asks, .. }) = self.waiting.front() else { return Ok(Vec::new()) };
        let clock = Seen { seen: &self.seen, now: Instant::now() };
        while let Some(claim) = next.expired(&clock) {
            let outcome = match asks.after_failure(claim.number) {
                Next::Dead => Next::Dead,
                // The lease was pause enough.
                Next::Retry(_) => Next::Retry(Duration::ZERO),
            };
            if self.told.contains(&claim.turn) {
                next.fail(claim, outcome);
                continue;
            }
            let known = self.ahead.get(claim.position).cloned();
            match letters::find(&self.link, &self.name, claim.position, known).await? {
                Some(event) => {
                    let has_letter = next.held(claim).is_some_and(|open| open.has_letter);
                    let letter = (claim, &event, has_letter, FailedDelivery::LEASE_RAN_OUT);
                    letters::tell(&self.link, &self.name, letter).await?;
                    self.told.insert(claim.turn);
                    next.fail(claim, outcome);
                }
                None => {
                    next.close(claim);
                }
            }
        }
        let mut given = Vec::new();
        for waiting in &self.waiting {
            let lease = u64::try_from(waiting.asks.lease.as_millis()).unwrap_or(u64::MAX);
            let claims = std::iter::from_fn(|| self.claim(next, lease, &clock));
            let claims: Vec<_> = claims.take(waiting.most).collect();
            if claims.is_empty() {
                break;
            }
            given.push(claims);
        }
        Ok(given)
    }

    /// Claims what is free, else opens the next of the log until something is.
    fn claim(&self, next: &mut Group, lease: u64, clock: &Seen<'_>) -> Option<Claim> {
        loop {
            if let Some(claim) = next.claim(lease, clock) {
                return Some(claim);
            }
            if next.is_full() {
                return None;
            }
            let (position, event) = self.ahead.after(next.position)?;
            let key = event.map(|event| event.partition_key().map(hash));
            next.advance(position, key);
        }
    }

    fn answer_settled(&mut self, lost: &[bool]) {
        for (settling, is_lost) in self.settling.drain(..).zip(lost) {
            let answer = if *is_lost { Err(BusError::LeaseLost) } else { Ok(()) };
            // Who does not wait for the answer any more does not need it.
            let _ = settling.reply.send(answer);
        }
    }

    /// Gives each who waits what was claimed for it, in their order.
    async fn hand_out(&mut self, given: Vec<Vec<Claim>>) -> Result<(), BusError> {
        let mut left = given.into_iter();
        while let Some(claims) = left.next() {
            let events = match self.events_of(&claims).await {
                Ok(events) => events,
                Err(error) => {
                    self.returned.extend(claims.into_iter().chain(left.flatten()));
                    return Err(error);
                }
            };
            if events.is_empty() {
                continue;
            }
            let Some(waiting) = self.waiting.pop_front() else { continue };
            if waiting.reply.send(Ok(events)).is_err() {
                self.returned.extend(claims);
            }
        }
        Ok(())
    }

    /// The events that were claimed; one that was let go is done.
    async fn events_of(&mut self, claims: &[Claim]) -> Result<Vec<Given>, BusError> {
        let mut events = Vec::with_capacity(claims.len());
        for claim in claims {
            let known = self.ahead.get(claim.position).cloned();
            let event = letters::find(&self.link, &self.name, claim.position, known).await?;
            let Some(event) = event else {
                tracing::warn!(group = %self.name, position = claim.position, "an event was let go");
                let claim = *claim;
                states::change(&self.link, &self.name, |group| group.close(claim)).await?;
                self.state = None;
                continue;
            };
            events.push(Given { event, claim: *claim });
        }
        Ok(events)
    }

    /// Everybody who waits is told; what is known is read again at the next try.
    fn give_up(&mut self, error: &BusError) {
        let again = || match error {
            BusError::UnknownGroup { group } => BusError::UnknownGroup { group: group.clone() },
            error => unavailable(regatta_core::Chain(error).to_string()),
        };
        for waiting in self.waiting.drain(..) {
            let _ = waiting.reply.send(Err(again()));
        }
        for settling in self.settling.drain(..) {
            let _ = settling.reply.send(Err(again()));
        }
        // They come again when their lease is over.
        self.returned.clear();
        self.state = None;
        self.ahead.forget();
    }

    async fn trim_now_and_then(&mut self) {
        let now = Instant::now();
        let trimmed_at = *self.trimmed_at.get_or_insert(now);
        if now >= trimmed_at + TRIM_EVERY {
            self.trimmed_at = Some(now);
            if let Err(error) = crate::bus::trim(&self.link, crate::bus::KEPT).await {
                tracing::debug!(error = %regatta_core::Chain(&error), "old events stay for now");
            }
        }
    }
}
