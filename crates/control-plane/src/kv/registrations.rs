//! The registry's part of the writer: changes, what is written of them, who is told.

use std::time::Instant;

use super::entry::Entry;
use crate::registry::{Delta, Limits, Published, Record, State, Timers, Turn};

/// The registry's part of the writer.
pub(super) struct Registrations {
    published: Published,
    /// What the next request sees: ahead of what is published by the group in work.
    ahead: State,
    /// What the group in work has changed.
    steps: Vec<Record>,
    timers: Timers,
    limits: Limits,
    /// Told of each committed change, before its caller is.
    observer: Box<dyn Fn(&Delta) + Send + Sync>,
}

impl Registrations {
    /// Sessions have their whole time again, from now on.
    pub(super) fn new(now: Instant, state: State) -> Self {
        let mut timers = Timers::default();
        timers.align(now, state.sessions());
        Self {
            timers,
            published: Published::new(state.clone()),
            ahead: state,
            steps: Vec::new(),
            limits: Limits::default(),
            observer: Box::new(|_| ()),
        }
    }

    /// Sets what it may hold and whom it tells; what is committed, for readers.
    pub(super) fn serve(
        &mut self,
        limits: Limits,
        observer: impl Fn(&Delta) + Send + Sync + 'static,
    ) -> Published {
        self.limits = limits;
        self.observer = Box::new(observer);
        self.published.clone()
    }

    /// Makes a change outside of any group, such as the first one, at this index or later; what is
    /// to be written of it.
    pub(super) fn change(
        &mut self,
        least_index: u64,
        deltas: impl FnOnce(&State, u64) -> Vec<Delta>,
    ) -> Vec<Entry> {
        let index = (self.ahead.index() + 1).max(least_index);
        let deltas = deltas(&self.ahead, index);
        if !deltas.is_empty() {
            self.ahead.apply(&deltas, index);
            self.steps.push(Record { index, deltas });
        }
        self.entries()
    }

    /// Carries out one request of the group in work.
    pub(super) fn turn(&mut self, now: Instant) -> Turn<'_> {
        Turn::new(&mut self.ahead, &mut self.steps, &mut self.timers, &self.limits, now)
    }

    /// When the next session ends by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// What is to be written of the group in work.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let durable = self.steps.iter().map(Record::durable);
        durable.filter(|record| !record.deltas.is_empty()).map(Entry::Registry).collect()
    }

    /// The group is on the disk: shows it to readers.
    pub(super) fn publish(&mut self) {
        self.published.set_writable(true);
        self.published.publish(&self.steps, &self.observer);
        self.steps.clear();
    }

    /// The group is not on the disk: as if it had never been.
    pub(super) fn take_back(&mut self, now: Instant) {
        self.published.set_writable(false);
        if !self.steps.is_empty() {
            self.ahead = self.published.state().clone();
            self.steps.clear();
            self.timers.align(now, self.ahead.sessions());
        }
    }

    /// The disk takes writes again. Meanwhile no session could be renewed.
    pub(super) fn go_on(&mut self, now: Instant) {
        self.published.set_writable(true);
        self.timers.begin_anew(now, self.ahead.sessions());
    }

    /// What is committed, for a snapshot.
    pub(super) fn committed(&self) -> &State {
        debug_assert!(self.steps.is_empty());
        &self.ahead
    }
}

impl std::fmt::Debug for Registrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrations").field("limits", &self.limits).finish_non_exhaustive()
    }
}
