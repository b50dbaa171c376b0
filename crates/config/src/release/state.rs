//! A release as it is kept in the center.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Stage, Thresholds};

/// A change of settings that goes out in stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its name, unique in the center.
    pub id: String,
    /// The service.
    pub service: String,
    /// The settings by their dotted keys; none deletes.
    pub changes: BTreeMap<String, Option<String>>,
    /// What they were before; none for those that were not there.
    pub before: BTreeMap<String, Option<String>>,
    /// The revisions of those that were there: what is of another one was written since.
    #[serde(default)]
    pub revisions: BTreeMap<String, u64>,
    /// How far each step goes; the last one reaches all.
    pub stages: Vec<Stage>,
    /// When it is judged to do harm.
    pub thresholds: Thresholds,
    /// What happens then.
    pub on_worse: OnWorse,
    /// Who began it.
    pub by: String,
    /// What for; empty when nobody said.
    pub why: String,
    /// Errors of 100 requests before it, at all instances that were heard of by then, since each
    /// one's start; none until the first stage is taken over.
    #[serde(default)]
    pub baseline_percent: Option<f64>,
    /// Where it stands.
    pub phase: Phase,
    /// What has happened; the last [`Release::MOST_NOTES`].
    pub notes: Vec<StepNote>,
}

/// What happens when a release does harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnWorse {
    /// It goes no further and waits for somebody.
    #[default]
    Halt,
    /// It is rolled back.
    RollBack,
}

/// Where a release stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// A stage is under way.
    Staging(Staging),
    /// It does harm and goes no further.
    Halted {
        /// The stage, from 0.
        stage: usize,
        /// Who has the changes.
        instances: Vec<String>,
        /// What was seen.
        reason: String,
    },
    /// All have it: its changes are the service's settings.
    Done,
    /// Nobody has it any more.
    RolledBack {
        /// Why.
        reason: String,
    },
}

/// A stage that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staging {
    /// The stage, from 0.
    pub stage: usize,
    /// Who has the changes, or soon will have; in the last stage those that were there when it
    /// began.
    pub instances: Vec<String>,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
    /// When the last of them had taken the changes over.
    pub accepted_ms: Option<u64>,
    /// What each instance of the service had counted then, or when it was first heard of.
    pub start: BTreeMap<String, Totals>,
    /// Since when instances are not ready.
    pub unready_since: BTreeMap<String, u64>,
}

/// What an instance has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Of these, failed by a fault of its own.
    pub errors: u64,
}

/// Something that has happened to a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepNote {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub text: String,
}

impl Release {
    /// Most notes that are kept.
    pub const MOST_NOTES: usize = 100;
    /// Most settings of one release: all of them are one commit.
    pub const MOST_CHANGES: usize = 50;

    /// Reads one; none for a text that is no release.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it is still under way, halted included.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Staging(_) | Phase::Halted { .. })
    }

    /// Adds a note.
    pub fn note(&mut self, at_ms: u64, text: impl Into<String>) {
        self.notes.push(StepNote { at_ms, text: text.into() });
        let excess = self.notes.len().saturating_sub(Self::MOST_NOTES);
        self.notes.drain(..excess);
    }
}

impl Totals {
    /// What was counted since; a process that was started anew began at 0.
    pub(crate) fn since(self, start: Self) -> Self {
        if self.requests < start.requests {
            return self;
        }
        let errors = self.errors.saturating_sub(start.errors);
        Self { requests: self.requests - start.requests, errors }
    }

    /// Errors of 100 requests; 0 when there are none.
    pub(crate) fn percent(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let (errors, requests) = (self.errors as f64, self.requests as f64);
        if self.requests == 0 { 0.0 } else { 100.0 * errors / requests }
    }
}
