//! What is next of a release: it goes on, waits, halts, or is done.

use std::collections::BTreeMap;

use super::{OnWorse, Phase, Release, Rollout, Staging, Totals, pick};
use crate::center::Report;

/// What is next; the release says so already, and has to be written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing, yet.
    Wait,
    /// Another stage has begun: the rollout reaches more instances.
    Stage(Rollout),
    /// All have it, and it did no harm.
    Finish,
    /// It does harm, and goes no further.
    Halt,
    /// It does harm, and is taken back.
    RollBack,
}

impl Release {
    /// Begins with the first stage.
    ///
    /// # Errors
    ///
    /// Why it cannot begin with these instances.
    pub fn begin(&mut self, now_ms: u64, reports: &[Report]) -> Result<Rollout, String> {
        if reports.is_empty() {
            return Err(format!(
                "no instance of `{}` reports to the config center; start one, or set the values at \
                 once with `regatta config set`",
                self.service
            ));
        }
        for report in reports {
            if let Some(refused) = &report.refused {
                return Err(format!(
                    "`{}` refuses its present configuration; correct that first: {}",
                    report.instance, refused.reason
                ));
            }
        }
        Ok(self.enter(0, now_ms, reports))
    }

    /// Begins a stage anew after a halt, for a driver who knows better.
    pub fn resume(&mut self, now_ms: u64, reports: &[Report]) -> Option<Rollout> {
        let Phase::Halted { stage, instances, .. } = &self.phase else { return None };
        let (stage, instances) = (*stage, instances.clone());
        self.phase = Phase::Staging(Staging { instances, ..Staging::default() });
        self.note(now_ms, "resumed");
        Some(self.enter(stage, now_ms, reports))
    }

    /// Nobody drove it for so long that its rollout has ended, and its instances have the settings
    /// from before: it is halted at its stage and reaches nobody. Nothing for one that is not staging.
    pub fn lapse(&mut self, now_ms: u64) {
        let Phase::Staging(Staging { stage, .. }) = self.phase else { return };
        let reason = "nobody drove it any more, and its instances have the settings from before";
        self.phase = Phase::Halted { stage, instances: Vec::new(), reason: reason.to_owned() };
        self.note(now_ms, format!("halted: {reason}"));
    }

    /// What is next, by what the instances of the service say now.
    pub fn advance(&mut self, now_ms: u64, reports: &[Report]) -> Action {
        let limits = self.thresholds;
        let id = self.id.clone();
        let Phase::Staging(staging) = &mut self.phase else { return Action::Wait };
        if let Some(reason) = staging.harm(now_ms, reports, limits.unready_for_ms) {
            return self.worse(now_ms, &reason, reports);
        }
        let has_it = |report: &&Report| report.release.as_deref() == Some(&*id);
        let missing = staging
            .instances
            .iter()
            .find(|name| !reports.iter().filter(has_it).any(|report| report.instance == **name));
        if let Some(name) = missing {
            if now_ms.saturating_sub(staging.since_ms) < limits.accept_within_ms {
                return Action::Wait;
            }
            let within = limits.accept_within_ms / 1000;
            let reason = format!("`{name}` has not taken the changes over within {within} s");
            return self.worse(now_ms, &reason, reports);
        }
        // An instance that does not know of the release yet has said what it had counted long ago.
        let heard: Vec<_> =
            reports.iter().filter(|report| report.rollout.as_deref() == Some(&*id)).collect();
        for report in &heard {
            staging.start.entry(report.instance.clone()).or_insert_with(|| totals(report));
        }
        let Some(accepted) = staging.accepted_ms else {
            staging.accepted_ms = Some(now_ms);
            staging.start =
                heard.iter().map(|report| (report.instance.clone(), totals(report))).collect();
            let before = staging.start.values().copied().fold(Totals::default(), add);
            self.baseline_percent.get_or_insert_with(|| before.percent());
            let count = staging.instances.len();
            self.note(now_ms, format!("{count} instances run the changes"));
            return Action::Wait;
        };
        if let Some(reason) =
            staging.errors(&heard, &limits, self.baseline_percent.unwrap_or_default())
        {
            return self.worse(now_ms, &reason, reports);
        }
        if now_ms.saturating_sub(accepted) < limits.window_ms {
            return Action::Wait;
        }
        let next = staging.stage + 1;
        if next < self.stages.len() {
            return Action::Stage(self.enter(next, now_ms, reports));
        }
        self.phase = Phase::Done;
        self.note(now_ms, "done: all instances have it");
        Action::Finish
    }

    /// Goes no further, or takes itself back if it was told so, for a reason that no instance gives.
    /// Nothing for one that is not staging.
    pub fn stop(&mut self, now_ms: u64, reason: &str, reports: &[Report]) -> Action {
        match self.phase {
            Phase::Staging(_) => self.worse(now_ms, reason, reports),
            _ => Action::Wait,
        }
    }

    /// Takes it back.
    pub fn roll_back(&mut self, now_ms: u64, reason: &str) {
        self.phase = Phase::RolledBack { reason: reason.to_owned() };
        self.note(now_ms, format!("rolled back: {reason}"));
    }

    fn enter(&mut self, stage: usize, now_ms: u64, reports: &[Report]) -> Rollout {
        let reached = match &self.phase {
            Phase::Staging(staging) => staging.instances.clone(),
            _ => Vec::new(),
        };
        let live: Vec<String> = reports.iter().map(|report| report.instance.clone()).collect();
        let instances = pick(self.stages[stage], &live, &reached);
        let is_all = self.stages[stage].is_all();
        let whom = if is_all { "all instances".to_owned() } else { instances.join(", ") };
        self.note(now_ms, format!("stage {} of {}: {whom}", stage + 1, self.stages.len()));
        let rollout = Rollout {
            release: self.id.clone(),
            changes: self.changes.clone(),
            instances: (!is_all).then(|| instances.clone()),
        };
        self.phase =
            Phase::Staging(Staging { stage, instances, since_ms: now_ms, ..Staging::default() });
        rollout
    }

    fn worse(&mut self, now_ms: u64, reason: &str, reports: &[Report]) -> Action {
        if self.on_worse == OnWorse::RollBack {
            self.roll_back(now_ms, reason);
            return Action::RollBack;
        }
        if let Phase::Staging(staging) = &self.phase {
            let (stage, instances) = (staging.stage, staging.holders(&self.id, reports));
            self.phase = Phase::Halted { stage, instances, reason: reason.to_owned() };
        }
        self.note(now_ms, format!("halted: {reason}"));
        Action::Halt
    }
}

impl Staging {
    /// Who keeps the changes when it goes no further: who runs them, and who was reached and is not
    /// heard of now. One that does not run them, since it refuses them or has not heard of them, is
    /// left out, so that it takes over what comes after.
    fn holders(&self, id: &str, reports: &[Report]) -> Vec<String> {
        let has_it = |report: &&Report| report.release.as_deref() == Some(id);
        let reached = self.instances.iter().filter(|name| {
            reports.iter().find(|report| report.instance == **name).is_none_or(|it| has_it(&it))
        });
        // The last stage also reaches those that came after it began.
        let later = reports.iter().filter(has_it).map(|report| &report.instance);
        let later = later.filter(|name| !self.instances.contains(name));
        reached.chain(later).cloned().collect()
    }

    /// A refusal, or an instance that is not ready, or gone, for too long.
    fn harm(&mut self, now_ms: u64, reports: &[Report], unready_for_ms: u64) -> Option<String> {
        for name in &self.instances {
            let report = reports.iter().find(|report| report.instance == *name);
            if let Some(refused) = report.and_then(|report| report.refused.as_ref()) {
                return Some(format!("`{name}` refuses it: {}", refused.reason));
            }
            if report.is_some_and(|report| report.ready) {
                self.unready_since.remove(name);
                continue;
            }
            let since = *self.unready_since.entry(name.clone()).or_insert(now_ms);
            let unready = now_ms.saturating_sub(since);
            if unready >= unready_for_ms {
                let what = if report.is_some() { "not ready" } else { "gone" };
                return Some(format!("`{name}` is {what} for {} s", unready / 1000));
            }
        }
        None
    }

    /// More errors than at the instances beside, or than before where there is nobody beside.
    fn errors(
        &self,
        heard: &[&Report],
        limits: &super::Thresholds,
        baseline_percent: f64,
    ) -> Option<String> {
        let counted = |is_reached: bool| {
            let meant = |report: &&&Report| self.instances.contains(&report.instance) == is_reached;
            let since = |report: &&Report| {
                let start = self.start.get(&report.instance).copied().unwrap_or_default();
                totals(report).since(start)
            };
            heard.iter().filter(meant).map(since).fold(Totals::default(), add)
        };
        let (reached, beside) = (counted(true), counted(false));
        if reached.requests < limits.min_requests.max(1) {
            return None;
        }
        let (usual, whose) = match beside.requests >= limits.min_requests.max(1) {
            true => (beside.percent(), "at the other instances"),
            false => (baseline_percent, "before"),
        };
        let found = reached.percent();
        (found > usual + f64::from(limits.max_error_percent)).then(|| {
            let Totals { requests, errors } = reached;
            format!("{errors} of {requests} requests fail ({found:.1} %; {usual:.1} % {whose})")
        })
    }
}

fn totals(report: &Report) -> Totals {
    Totals { requests: report.requests, errors: report.errors }
}

fn add(a: Totals, b: Totals) -> Totals {
    Totals { requests: a.requests + b.requests, errors: a.errors + b.errors }
}

/// Only for the reader of a release: what each stage reaches.
impl Release {
    /// The stage it is at, from 1, and of how many.
    pub fn progress(&self) -> (usize, usize) {
        let of = self.stages.len();
        match &self.phase {
            Phase::Staging(staging) => (staging.stage + 1, of),
            Phase::Halted { stage, .. } => (stage + 1, of),
            Phase::Done => (of, of),
            Phase::RolledBack { .. } => (0, of),
        }
    }

    /// What the changes are, for people: `key=value`, or `-key`; values of secrets hidden.
    pub fn summary(&self) -> String {
        let change = |(key, value): (&String, &Option<String>)| match value {
            Some(_) if crate::is_secret_name(key) => format!("{key}=***"),
            Some(value) => format!("{key}={}", crate::redact_urls(value)),
            None => format!("-{key}"),
        };
        let changes: BTreeMap<_, _> = self.changes.iter().collect();
        changes.into_iter().map(change).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests;
