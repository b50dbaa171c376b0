//! What a cluster keeps under its lock: who is out, why, and until when.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Instant;

use regatta_resilience::breaker::Override;
use regatta_resilience::outlier;

use super::out::{Census, Out, Panic};

/// What changes seldom, and never at a pick of a healthy instance.
#[derive(Debug)]
pub(super) struct Control {
    /// Who decides about the breakers of instances that come.
    pub(super) force: Override,
    /// Where each member is in the snapshot, by number.
    pub(super) places: HashMap<u64, usize>,
    /// Why a member takes no calls, in the snapshot's order.
    out: Vec<Out>,
    census: Census,
    /// Ejections of late, by number.
    pub(super) records: HashMap<u64, outlier::Record>,
    /// When to look at which member again, in the cluster's nanoseconds, the soonest first.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    /// Members whose breaker awaits a probe: the next call takes one.
    probes: VecDeque<u64>,
    /// When to compare the success rates next.
    pub(super) next_look: u64,
    pub(super) panic: Panic,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            force: Override::Automatic,
            places: HashMap::new(),
            out: Vec::new(),
            census: Census::default(),
            records: HashMap::new(),
            due: BinaryHeap::new(),
            probes: VecDeque::new(),
            next_look: u64::MAX,
            panic: Panic::default(),
        }
    }

    /// Begins with these members, all of them in and nothing due, until each was looked at.
    pub(super) fn rebase(&mut self, numbers: impl Iterator<Item = u64>) {
        self.places = numbers.enumerate().map(|(place, number)| (number, place)).collect();
        self.out = vec![Out::default(); self.places.len()];
        self.census = Census::new(self.places.len());
        self.due.clear();
        let places = &self.places;
        self.records.retain(|number, _| places.contains_key(number));
        self.probes.retain(|number| places.contains_key(number));
    }

    pub(super) fn out(&self, place: usize) -> Out {
        self.out[place]
    }

    /// Notes why a member is out; says why it was before.
    pub(super) fn note(&mut self, place: usize, out: Out) -> Out {
        let before = std::mem::replace(&mut self.out[place], out);
        self.census.change(before, out);
        before
    }

    pub(super) fn census(&self) -> &Census {
        &self.census
    }

    /// Whether a member takes no calls.
    pub(super) fn is_blocked(&self, place: usize) -> bool {
        self.out[place].is_blocked(self.panic)
    }

    pub(super) fn ejected_until(&self, number: u64, now: Instant) -> Option<Instant> {
        self.records.get(&number)?.ejected_until(now)
    }

    /// The next call that may is to go to this member, each once.
    pub(super) fn await_probe(&mut self, number: u64) {
        if !self.probes.contains(&number) {
            self.probes.push_back(number);
        }
    }

    /// Who awaits a probe, and where it is.
    pub(super) fn take_probe(&mut self) -> Option<(u64, usize)> {
        let number = self.probes.pop_front()?;
        Some((number, *self.places.get(&number)?))
    }

    pub(super) fn look_at(&mut self, number: u64, at: u64) {
        self.due.push(Reverse((at, number)));
    }

    /// A member that is to be looked at by `now`; each once for each time it was asked for.
    pub(super) fn next_due(&mut self, now: u64) -> Option<u64> {
        let Reverse((at, number)) = *self.due.peek()?;
        (at <= now).then(|| {
            self.due.pop();
            number
        })
    }

    /// When there is something to do next.
    pub(super) fn wakes_at(&self) -> u64 {
        if !self.probes.is_empty() {
            return 0;
        }
        let due = self.due.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        due.min(self.next_look)
    }
}
