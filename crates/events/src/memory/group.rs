//! What a consumer group has under way: a pure rule over the log's positions.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::{CloudEvent, DeadLetter, FailedDelivery, GroupName, GroupStanding, Next, Subscription};

use super::log::Log;

/// How many events that are the first of their key a group has open at most, and how many in all.
const WINDOW: usize = 1000;
const MOST_OPEN: usize = 10_000;
/// How many dead letters a group keeps; of more the oldest are let go.
const DEAD_KEPT: usize = 10_000;

/// A group's place in the log and what is not settled before it.
#[derive(Debug)]
pub(super) struct Group {
    /// Everything up to here is settled, under way or waiting in `open`.
    pub(super) cursor: u64,
    open: BTreeMap<u64, Open>,
    pub(super) dead: Vec<DeadLetter>,
    claims: u64,
}

/// An event that is not settled; it has a copy, so that the log may let its own go.
#[derive(Debug)]
struct Open {
    event: CloudEvent,
    deliveries: u32,
    /// The claim that holds it; none while it waits.
    claim: Option<u64>,
    /// When the lease runs out, or the pause ends.
    until: Option<Instant>,
    failures: Vec<FailedDelivery>,
}

/// An event that was given to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) position: u64,
    pub(super) number: u32,
    pub(super) claim: u64,
}

/// The two clocks: one for waiting, one for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) wall: OffsetDateTime,
}

impl Group {
    pub(super) fn new(cursor: u64) -> Self {
        Self { cursor, open: BTreeMap::new(), dead: Vec::new(), claims: 0 }
    }

    /// The oldest position of the log that this group still needs.
    pub(super) fn needs(&self) -> u64 {
        self.cursor + 1
    }

    /// Gives the oldest event that is free to go: none of its key is open before it, and its pause
    /// or lease is over.
    pub(super) fn claim(
        &mut self,
        log: &Log,
        asks: &Subscription,
        now: Now,
    ) -> Option<(Claim, CloudEvent)> {
        self.expire(asks, now);
        self.advance(log, asks);
        let mut taken = HashSet::new();
        let free = self.open.iter().find(|(_, open)| {
            let is_first = open.event.partition_key().is_none_or(|key| taken.insert(key));
            is_first && open.claim.is_none() && open.until.is_none_or(|until| until <= now.instant)
        });
        let position = *free?.0;
        self.claims += 1;
        let open = self.open.get_mut(&position)?;
        open.deliveries += 1;
        open.claim = Some(self.claims);
        open.until = Some(now.instant + asks.lease);
        let claim = Claim { position, number: open.deliveries, claim: self.claims };
        Some((claim, open.event.clone()))
    }

    /// When something may become free without being settled.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        self.open.values().filter_map(|open| open.until).filter(|until| *until > now).min()
    }

    /// Takes the event off; false when the claim no longer holds it.
    #[must_use]
    pub(super) fn ack(&mut self, claim: Claim) -> bool {
        self.holds(claim) && self.open.remove(&claim.position).is_some()
    }

    /// Records the failure; false when the claim no longer holds the event.
    #[must_use]
    pub(super) fn fail(&mut self, claim: Claim, next: Next, reason: &str, now: Now) -> bool {
        if !self.holds(claim) {
            return false;
        }
        self.settle_failure(claim.position, next, reason, now);
        true
    }

    /// Takes the delivery back, to be repeated after the pause; false when the claim no longer holds
    /// the event.
    #[must_use]
    pub(super) fn take_back(&mut self, claim: Claim, pause: Duration, now: Now) -> bool {
        if !self.holds(claim) {
            return false;
        }
        if let Some(open) = self.open.get_mut(&claim.position) {
            open.deliveries -= 1;
            open.claim = None;
            open.until = Some(now.instant + pause);
        }
        true
    }

    /// How far it is, when this is the newest of the log.
    pub(super) fn standing(&self, group: GroupName, newest: u64) -> GroupStanding {
        GroupStanding {
            group,
            position: self.cursor,
            behind: newest.saturating_sub(self.cursor),
            open: self.open.len() as u64,
            dead: self.dead.len() as u64,
        }
    }

    /// Moves the cursor; what is open stays open and is not delivered twice at a time.
    pub(super) fn seek(&mut self, cursor: u64) {
        self.cursor = cursor;
    }

    /// Opens dead letters again; answers how many.
    pub(super) fn redrive(&mut self, wanted: impl Fn(usize, u64) -> bool) -> u64 {
        let mut index = 0;
        let before = self.dead.len();
        let open = &mut self.open;
        self.dead.retain(|dead| {
            let is_wanted = wanted(index, dead.position);
            index += 1;
            if is_wanted {
                open.entry(dead.position).or_insert_with(|| Open::new(dead.event.clone()));
            }
            !is_wanted
        });
        (before - self.dead.len()) as u64
    }

    fn holds(&self, claim: Claim) -> bool {
        self.open.get(&claim.position).is_some_and(|open| open.claim == Some(claim.claim))
    }

    /// Counts claims whose lease has run out as failures.
    fn expire(&mut self, asks: &Subscription, now: Now) {
        let is_late = |open: &&Open| {
            open.claim.is_some() && open.until.is_some_and(|until| until <= now.instant)
        };
        let late: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| is_late(open))
            .map(|(position, open)| (*position, open.deliveries))
            .collect();
        for (position, number) in late {
            let next = match asks.after_failure(number) {
                // The lease was pause enough.
                Next::Retry(_) => Next::Retry(Duration::ZERO),
                Next::Dead => Next::Dead,
            };
            self.settle_failure(position, next, FailedDelivery::LEASE_RAN_OUT, now);
        }
    }

    /// Opens what is wanted of the log, within the window. Those that wait behind another of their key
    /// are not in the way of others.
    fn advance(&mut self, log: &Log, asks: &Subscription) {
        if log.newest() <= self.cursor {
            return;
        }
        let mut keys = HashSet::new();
        let mut is_first = |event: &CloudEvent| match event.partition_key() {
            Some(key) => keys.insert(key.to_owned()),
            None => true,
        };
        let mut first = self.open.values().filter(|open| is_first(&open.event)).count();
        while first < WINDOW && self.open.len() < MOST_OPEN {
            let Some(logged) = log.after(self.cursor) else { break };
            self.cursor = logged.position;
            if asks.types.passes(logged.event.event_type()) {
                first += usize::from(is_first(&logged.event));
                let open = self.open.entry(logged.position);
                open.or_insert_with(|| Open::new(logged.event.clone()));
            }
        }
    }

    fn settle_failure(&mut self, position: u64, next: Next, reason: &str, now: Now) {
        let Some(mut open) = self.open.remove(&position) else { return };
        let failure =
            FailedDelivery { number: open.deliveries, at: now.wall, reason: reason.to_owned() };
        failure.push(&mut open.failures);
        match next {
            Next::Retry(pause) => {
                open.claim = None;
                open.until = Some(now.instant + pause);
                self.open.insert(position, open);
            }
            Next::Dead => {
                if self.dead.len() >= DEAD_KEPT {
                    self.dead.remove(0);
                }
                let last = open.failures.last().map(|last| last.reason.clone());
                let letter = DeadLetter {
                    position,
                    event: open.event,
                    reason: last.unwrap_or_default(),
                    failures: open.failures,
                    died_at: now.wall,
                };
                let at = self.dead.partition_point(|dead| dead.position < position);
                self.dead.insert(at, letter);
            }
        }
    }
}

impl Open {
    fn new(event: CloudEvent) -> Self {
        Self { event, deliveries: 0, claim: None, until: None, failures: Vec::new() }
    }
}
