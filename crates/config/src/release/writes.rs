//! What a release writes into the center: each step one commit.
//!
//! The rollout ends with the lease of whoever drives it, so that its instances fall back when that is
//! gone. One that has halted stays: somebody was told, and looks.

use std::collections::BTreeMap;

use super::{Phase, Release, Rollout};
use crate::center::{Commit, Expected, Item, JournalChange, JournalEntry, Layout, LeaseId};

/// A finished release cannot be rolled back as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} changed since this release; set what you want with `regatta config set`, or roll the keys back \
     with --force", .keys.join(" and ")
)]
pub struct Refusal {
    /// The dotted keys.
    pub keys: Vec<String>,
}

/// Makes the commits of a release.
#[derive(Clone, Copy, Debug)]
pub struct Writes<'a> {
    layout: &'a Layout,
    release: &'a Release,
}

impl<'a> Writes<'a> {
    /// Of this release, as it is after the step.
    pub fn new(layout: &'a Layout, release: &'a Release) -> Self {
        Self { layout, release }
    }

    fn key(&self) -> String {
        self.layout.release(&self.release.id)
    }

    fn setting(&self, key: &str) -> String {
        self.layout.setting(&self.release.service, None, key)
    }

    /// Its state, expecting it as it was read.
    fn state(&self, read: u64) -> Commit {
        let key = self.key();
        let commit = Commit::new().expect(&*key, Expected::Revision(read));
        commit.put(key, self.release.to_text())
    }

    fn rollout(&self) -> String {
        self.layout.rollout(&self.release.service)
    }

    /// The first stage; the service has no other release under way then.
    pub fn begin(&self, rollout: &Rollout, lease: LeaseId) -> Commit {
        let (key, at) = (self.key(), self.rollout());
        let commit = Commit::new().expect(&*key, Expected::Absent).expect(&*at, Expected::Absent);
        commit.put(key, self.release.to_text()).put_with(at, rollout.to_text(), lease)
    }

    /// Its state alone.
    pub fn keep(&self, read: u64) -> Commit {
        self.state(read)
    }

    /// Another stage, if the rollout is still as it was seen.
    pub fn stage(&self, read: u64, rollout: &Rollout, seen: Expected, lease: LeaseId) -> Commit {
        let at = self.rollout();
        self.state(read).expect(&*at, seen).put_with(at, rollout.to_text(), lease)
    }

    /// Another driver holds it from now on.
    pub fn hold(&self, seen: &Item, lease: LeaseId) -> Commit {
        let commit = Commit::new().expect(&*seen.key, Expected::Revision(seen.revision));
        commit.put_with(&*seen.key, &*seen.value, lease)
    }

    /// It goes no further; who has the changes keeps them, whether anybody drives it or not. Who
    /// refuses them is let go, and takes over what is set next.
    pub fn halt(&self, read: u64, seen: &Item) -> Commit {
        let commit = self.state(read).expect(&*seen.key, Expected::Revision(seen.revision));
        let instances = match &self.release.phase {
            Phase::Halted { instances, .. } => instances.clone(),
            Phase::Staging(_) | Phase::Done | Phase::RolledBack { .. } => Vec::new(),
        };
        let (release, changes) = (self.release.id.clone(), self.release.changes.clone());
        let rollout = Rollout { release, changes, instances: Some(instances) };
        commit.put(&*seen.key, rollout.to_text())
    }

    /// Its changes become the service's settings, and the rollout ends, if that is still as it was
    /// seen and nobody has written one of these settings since the release began: the instances see
    /// no difference.
    pub fn finish(&self, read: u64, seen: &Item) -> Commit {
        let commit = self.state(read).expect(&*seen.key, Expected::Revision(seen.revision));
        let commit = commit.delete(&*seen.key);
        self.release.changes.iter().fold(commit, |commit, (key, value)| {
            let commit = commit.expect(self.setting(key), self.release.expected(key));
            match value {
                Some(value) => commit.put(self.setting(key), value),
                None => commit.delete(self.setting(key)),
            }
        })
    }

    /// Takes back one that is under way: the instances see the settings from before. `seen` is its
    /// rollout, if that is there still.
    pub fn take_back(&self, read: u64, seen: Option<&Item>) -> Commit {
        match seen {
            None => self.state(read),
            Some(seen) => {
                let commit = self.state(read).expect(&*seen.key, Expected::Revision(seen.revision));
                commit.delete(&*seen.key)
            }
        }
    }

    /// Takes back one that was done: the values from before are the service's settings again.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when settings have changed since, unless forced.
    pub fn undo(
        &self,
        read: u64,
        present: &BTreeMap<String, Item>,
        is_forced: bool,
    ) -> Result<Commit, Refusal> {
        let changes = &self.release.changes;
        let differs = |(key, value): &(&String, &Option<String>)| {
            let now = present.get(*key).map(|item| &*item.value);
            now != value.as_deref()
        };
        let keys: Vec<String> =
            changes.iter().filter(differs).map(|(key, _)| format!("`{key}`")).collect();
        if !is_forced && !keys.is_empty() {
            return Err(Refusal { keys });
        }
        let commit = self.release.before.iter().fold(self.state(read), |commit, (key, value)| {
            let expected = match present.get(key) {
                Some(item) => Expected::Revision(item.revision),
                None => Expected::Absent,
            };
            let commit = commit.expect(self.setting(key), expected);
            match value {
                Some(value) => commit.put(self.setting(key), value),
                None => commit.delete(self.setting(key)),
            }
        });
        Ok(commit)
    }

    /// The entry in the journal for settings that change by it.
    pub fn journal(&self, at_ms: u64, by: &str, action: &str) -> JournalEntry {
        let is_undo = action.starts_with("roll");
        let change = |(key, value): (&String, &Option<String>)| {
            let before = self.release.before.get(key).cloned().flatten();
            let (from, to) = if is_undo { (value, &before) } else { (&before, value) };
            JournalChange::new(&self.setting(key), from.as_deref(), to.as_deref())
        };
        JournalEntry {
            at_ms,
            by: by.to_owned(),
            why: self.release.why.clone(),
            action: format!("{action} {}", self.release.id),
            service: self.release.service.clone(),
            changes: self.release.changes.iter().map(change).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::center::{CenterError, ConfigCenter, MemoryCenter, RefusedRevision, Report};
    use crate::release::{Action, OnWorse, Stage, Thresholds};

    const LIMIT: &str = "/config/pay/payment.limit";
    const TIMEOUT: &str = "/config/pay/payment.timeout";
    const ROLLOUT: &str = "/config/pay/_rollout";

    fn release(id: &str) -> Release {
        let text = |text: &str| Some(text.to_owned());
        Release {
            id: id.to_owned(),
            service: "pay".to_owned(),
            changes: [
                ("payment.limit".to_owned(), text("7")),
                ("payment.timeout".to_owned(), None),
            ]
            .into(),
            before: BTreeMap::new(),
            revisions: BTreeMap::new(),
            stages: Stage::USUAL.into(),
            thresholds: Thresholds::default(),
            on_worse: OnWorse::Halt,
            by: "ada".to_owned(),
            why: String::new(),
            baseline_percent: None,
            phase: Phase::Done,
            notes: Vec::new(),
        }
    }

    const TTL: Duration = Duration::from_secs(60);

    /// A center where the release has begun, and the revision of that.
    async fn begun() -> (MemoryCenter, Layout, Release, u64) {
        let (center, layout, mut release) = (MemoryCenter::new(), Layout::default(), release("r1"));
        center.set(TIMEOUT, "9s", Expected::Any).await.unwrap();
        release.begin_from(&present(&center).await);
        let report = Report { instance: "pay-1".to_owned(), ..Report::default() };
        let rollout = release.begin(0, &[report]).unwrap();
        let lease = center.grant(TTL).await.unwrap();
        let commit = Writes::new(&layout, &release).begin(&rollout, lease);
        let revision = center.commit(commit).await.unwrap().revision;
        (center, layout, release, revision)
    }

    async fn seen(center: &MemoryCenter) -> Item {
        center.get(ROLLOUT).await.unwrap().unwrap()
    }

    async fn value(center: &MemoryCenter, key: &str) -> Option<String> {
        center.get(key).await.unwrap().map(|item| item.value.to_string())
    }

    async fn present(center: &MemoryCenter) -> BTreeMap<String, Item> {
        let mut present = BTreeMap::new();
        for (key, whole) in [("payment.limit", LIMIT), ("payment.timeout", TIMEOUT)] {
            if let Some(item) = center.get(whole).await.unwrap() {
                present.insert(key.to_owned(), item);
            }
        }
        present
    }

    #[tokio::test]
    async fn a_service_has_one_release_at_a_time() {
        let (center, layout, _, _) = begun().await;
        let other = release("r2");
        let lease = center.grant(TTL).await.unwrap();
        let commit = Writes::new(&layout, &other).begin(&Rollout::default(), lease);
        assert!(matches!(center.commit(commit).await, Err(CenterError::Conflict { .. })));
    }

    #[tokio::test]
    async fn of_two_drivers_one_is_told() {
        let (center, layout, release, read) = begun().await;
        let writes = Writes::new(&layout, &release);
        center.commit(writes.keep(read)).await.unwrap();
        let late = center.commit(writes.finish(read, &seen(&center).await)).await;
        assert!(matches!(late, Err(CenterError::Conflict { .. })));
        assert_eq!(value(&center, LIMIT).await, None);
    }

    #[tokio::test]
    async fn when_it_is_done_its_changes_are_the_settings() {
        let (center, layout, release, read) = begun().await;
        let finish = Writes::new(&layout, &release).finish(read, &seen(&center).await);
        let done = center.commit(finish).await.unwrap();
        assert_eq!(value(&center, LIMIT).await.as_deref(), Some("7"));
        assert_eq!(value(&center, TIMEOUT).await, None);
        assert_eq!(value(&center, ROLLOUT).await, None);

        let undo =
            Writes::new(&layout, &release).undo(done.revision, &present(&center).await, false);
        center.commit(undo.unwrap()).await.unwrap();
        assert_eq!(value(&center, LIMIT).await, None);
        assert_eq!(value(&center, TIMEOUT).await.as_deref(), Some("9s"));
    }

    /// A release wrote over what was set, and acknowledged, while it was under way.
    #[tokio::test]
    async fn what_somebody_sets_while_it_is_under_way_is_not_overwritten() {
        for key in [LIMIT, TIMEOUT] {
            let (center, layout, mut release, read) = begun().await;
            center.set(key, "8", Expected::Any).await.unwrap();
            let seen = seen(&center).await;
            let late = center.commit(Writes::new(&layout, &release).finish(read, &seen)).await;
            assert!(matches!(late, Err(CenterError::Conflict { .. })));
            assert_eq!(value(&center, key).await.as_deref(), Some("8"));

            release.begin_from(&present(&center).await);
            let finish = Writes::new(&layout, &release).finish(read, &seen);
            assert!(center.commit(finish).await.is_ok(), "by a driver who knows better");
        }
    }

    #[tokio::test]
    async fn taken_back_it_leaves_the_settings_alone() {
        let (center, layout, release, read) = begun().await;
        let seen = seen(&center).await;
        center.commit(Writes::new(&layout, &release).take_back(read, Some(&seen))).await.unwrap();
        assert_eq!(value(&center, ROLLOUT).await, None);
        assert_eq!(value(&center, TIMEOUT).await.as_deref(), Some("9s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_that_nobody_holds_ends_and_one_that_has_halted_stays() {
        let (center, layout, release, read) = begun().await;
        let writes = Writes::new(&layout, &release);
        let lease = center.grant(2 * TTL).await.unwrap();
        center.commit(writes.hold(&seen(&center).await, lease)).await.unwrap();
        tokio::time::advance(TTL + TTL / 2).await;
        assert!(value(&center, ROLLOUT).await.is_some(), "another driver holds it");
        let held = seen(&center).await;
        tokio::time::advance(TTL).await;
        assert_eq!(value(&center, ROLLOUT).await, None);
        // A driver that was away for so long neither finishes it nor goes on with it.
        let lease = center.grant(TTL).await.unwrap();
        let next =
            writes.stage(read, &Rollout::default(), Expected::Revision(held.revision), lease);
        for late in [next, writes.finish(read, &held), writes.halt(read, &held)] {
            assert!(matches!(center.commit(late).await, Err(CenterError::Conflict { .. })));
        }
        assert_eq!(value(&center, LIMIT).await, None);

        let (center, layout, release, read) = begun().await;
        let halt = Writes::new(&layout, &release).halt(read, &seen(&center).await);
        center.commit(halt).await.unwrap();
        tokio::time::advance(2 * TTL).await;
        assert!(value(&center, ROLLOUT).await.is_some());
    }

    /// An instance refused everything that was set later, since the changes stayed at it.
    #[tokio::test]
    async fn who_refuses_the_changes_is_let_go_when_it_halts() {
        let (center, layout, mut release, read) = begun().await;
        let refusing = Report {
            instance: "pay-1".to_owned(),
            refused: Some(RefusedRevision::default()),
            ..Report::default()
        };
        assert_eq!(release.advance(1, &[refusing]), Action::Halt);
        let halt = Writes::new(&layout, &release).halt(read, &seen(&center).await);
        center.commit(halt).await.unwrap();
        let rollout = Rollout::parse(&seen(&center).await.value).unwrap();
        assert!(!rollout.reaches(Some("pay-1")) && !rollout.reaches(None));
        assert_eq!(rollout.release, "r1", "it is still under way");
    }

    #[tokio::test]
    async fn one_that_lapsed_takes_no_others_rollout_back() {
        let (center, layout, release, read) = begun().await;
        center.commit(Writes::new(&layout, &release).take_back(read, None)).await.unwrap();
        assert!(value(&center, ROLLOUT).await.is_some());
    }

    #[tokio::test]
    async fn what_somebody_has_set_since_is_not_taken_back_by_accident() {
        let (center, layout, release, read) = begun().await;
        let finish = Writes::new(&layout, &release).finish(read, &seen(&center).await);
        let done = center.commit(finish).await.unwrap();
        center.set(LIMIT, "8", Expected::Any).await.unwrap();
        let writes = Writes::new(&layout, &release);
        let refused = writes.undo(done.revision, &present(&center).await, false).unwrap_err();
        assert_eq!(refused.keys, ["`payment.limit`"]);
        let forced = writes.undo(done.revision, &present(&center).await, true).unwrap();
        center.commit(forced).await.unwrap();
        assert_eq!(value(&center, LIMIT).await, None);
    }
}
