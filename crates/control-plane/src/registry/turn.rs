//! The registry while a group of requests is carried out.

use std::sync::Arc;
use std::time::Instant;

use super::sessions::{create, lost};
use super::{
    Command, Conflict, Delta, Draft, Key, KeyOperation, Limits, Outcome, Record, Refusal,
    Rejection, Session, SessionSpec, State, Timers, decide,
};

/// The registry while a group of requests is carried out: each sees what those before it changed.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    ahead: &'a mut State,
    steps: &'a mut Vec<Record>,
    timers: &'a mut Timers,
    limits: &'a Limits,
    now: Instant,
}

/// An operation of a transaction that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// Which one, from 0.
    pub(crate) operation: usize,
    pub(crate) conflict: Conflict,
}

impl<'a> Turn<'a> {
    /// Changes `ahead`, and notes in `steps` what has to be written and published.
    pub(crate) fn new(
        ahead: &'a mut State,
        steps: &'a mut Vec<Record>,
        timers: &'a mut Timers,
        limits: &'a Limits,
        now: Instant,
    ) -> Self {
        Self { ahead, steps, timers, limits, now }
    }

    /// The index of the latest change.
    pub(crate) fn index(&self) -> u64 {
        self.ahead.index()
    }

    /// What a check said last; nothing when it is not there.
    pub(crate) fn output(&self, key: &Key) -> &str {
        self.ahead.check(key).map(|check| check.output.as_str()).unwrap_or_default()
    }

    /// Carries a command out; sessions end with the nodes and checks that they live with.
    pub(crate) fn command(&mut self, command: Command) -> Result<(), Rejection> {
        let index = self.ahead.index() + 1;
        let mut deltas = decide(self.ahead, self.limits, command, index)?;
        let lost = lost(self.ahead, &deltas);
        deltas.extend(self.ended(&lost, index));
        self.enter(deltas, index);
        Ok(())
    }

    /// Does all of these operations, or none and says why not.
    pub(crate) fn keys(
        &mut self,
        operations: &[KeyOperation],
    ) -> Result<Vec<Outcome>, Vec<Failed>> {
        let unfit = operations.iter().enumerate().filter_map(|(operation, asked)| {
            Some(Failed { operation, conflict: self.unfit(asked)? })
        });
        let unfit: Vec<_> = unfit.collect();
        if !unfit.is_empty() {
            return Err(unfit);
        }
        let index = self.ahead.index() + 1;
        let mut draft = self.draft(index);
        let (mut outcomes, mut failed) = (Vec::with_capacity(operations.len()), Vec::new());
        for (operation, asked) in operations.iter().enumerate() {
            match draft.run(asked) {
                Ok(outcome) => outcomes.push(outcome),
                Err(conflict) => failed.push(Failed { operation, conflict }),
            }
        }
        if !failed.is_empty() {
            return Err(failed);
        }
        let deltas = draft.into_deltas();
        self.enter(deltas, index);
        Ok(outcomes)
    }

    /// Begins a session of this id.
    pub(crate) fn create_session(&mut self, spec: SessionSpec, id: &str) -> Result<(), Refusal> {
        let index = self.ahead.index() + 1;
        let session = create(self.ahead, spec, id, index, self.limits.sessions)?;
        self.enter(vec![Delta::PutSession(Arc::new(session))], index);
        Ok(())
    }

    /// Ends a session, if there is one of this id.
    pub(crate) fn destroy_session(&mut self, id: &str) {
        let Some(session) = self.ahead.sessions().get(id).cloned() else { return };
        let index = self.ahead.index() + 1;
        let deltas = self.ended(&[session], index);
        self.enter(deltas, index);
    }

    /// Begins a session's time anew; the session, if there is one of this id.
    pub(crate) fn renew_session(&mut self, id: &str) -> Option<Arc<Session>> {
        let session = self.ahead.sessions().get(id)?.clone();
        self.timers.start(self.now, &session);
        Some(session)
    }

    /// Ends every session whose time is over; how many.
    pub(crate) fn expire(&mut self) -> u64 {
        self.timers.tidy(self.now);
        let mut expired = 0;
        while let Some(id) = self.timers.overdue(self.now) {
            self.timers.stop(&id);
            self.destroy_session(&id);
            expired += 1;
        }
        expired
    }

    /// What is known to be wrong before anything is tried.
    fn unfit(&self, operation: &KeyOperation) -> Option<Conflict> {
        let key = operation.key();
        if key.is_empty() && operation.needs_key() {
            return Some(Conflict::NoKey);
        }
        let locks = matches!(operation, KeyOperation::Lock(..));
        let delayed = locks && self.timers.is_delayed(self.now, key);
        delayed.then(|| Conflict::Delayed { key: key.clone() })
    }

    fn draft(&self, index: u64) -> Draft<'_> {
        Draft::new(self.ahead.keys(), self.ahead.sessions(), index, self.limits.key_bytes)
    }

    /// What ends with these sessions. The locks they held are delayed.
    fn ended(&mut self, sessions: &[Arc<Session>], index: u64) -> Vec<Delta> {
        if sessions.is_empty() {
            return Vec::new();
        }
        for session in sessions {
            for key in self.ahead.keys().held_by(&session.id) {
                self.timers.delay(self.now, key, session.spec.lock_delay);
            }
        }
        let mut draft = self.draft(index);
        sessions.iter().for_each(|session| draft.end(session));
        draft.into_deltas()
    }

    /// Takes changes in; without a durable one among them the index stays.
    fn enter(&mut self, deltas: Vec<Delta>, index: u64) {
        if deltas.is_empty() {
            return;
        }
        let grows = deltas.iter().any(Delta::is_durable);
        let index = if grows { index } else { self.ahead.index() };
        self.ahead.apply(&deltas, index);
        for delta in &deltas {
            match delta {
                Delta::PutSession(session) => self.timers.start(self.now, session),
                Delta::RemoveSession(id) => self.timers.stop(id),
                _ => (),
            }
        }
        self.steps.push(Record { index, deltas });
    }
}
