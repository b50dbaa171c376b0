//! `regatta config release start`: begins a release and drives it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use regatta_config::center::{CenterError, Layout, Query};
use regatta_config::release::{OnWorse, Phase, Release as State, Stage, Thresholds, Writes};

use super::super::access::{Access, Center, Reason, now_ms};
use super::{drive, settings};
use crate::failure::Failure;
use crate::output::Format;
use crate::system::Place;
use crate::verbs::up::duration;

/// How many finished releases are kept; with each new one the oldest is deleted.
const KEPT: usize = 50;

/// Changes settings at one instance, then at a share, then at all, and halts when that does harm.
///
/// Harm is: an instance refuses the change, does not take it over, is not ready or gone, or fails more
/// of its requests than the instances beside it.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The service.
    service: String,
    /// The settings, such as client.timeout=2s.
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    changes: Vec<(String, String)>,
    /// Deletes this setting; may be given several times.
    #[arg(long = "delete", value_name = "KEY")]
    deletions: Vec<String>,
    /// How far each step goes: a number of instances, or a share; the last one goes to all.
    #[arg(long, value_name = "STAGES", value_delimiter = ',', default_value = "1,25%,100%")]
    stages: Vec<Stage>,
    /// How long each stage is watched.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    window: Duration,
    /// Longest time for the instances of a stage to take the change over.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    accept_within: Duration,
    /// How long an instance may be not ready, or gone.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    unready_for: Duration,
    /// How many of 100 requests more may fail than at the instances beside.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    max_error_percent: u32,
    /// Requests in the window under which no share of errors counts.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    min_requests: u64,
    /// Takes the change back by itself when it does harm, in place of waiting for somebody.
    #[arg(long)]
    auto_rollback: bool,
    #[command(flatten)]
    hold: drive::Hold,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    access: Access,
}

impl Start {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let by = self.reason.by();
        let mut release = self.release(&center, &by).await?;
        let id = release.id.clone();
        // Told first: what instances refuse may be of that one.
        if center.port.get(&center.layout.rollout(&self.service)).await?.is_some() {
            return Err(self.under_way());
        }
        lapsed(&center, &self.service).await?;
        let reports = center.reports(Some(&self.service)).await?;
        let rollout = release.begin(now_ms(), &reports).map_err(Failure::new)?;
        let lease = self.hold.grant(&center).await?;
        let commit = Writes::new(&center.layout, &release).begin(&rollout, lease);
        match center.port.commit(commit).await {
            Err(CenterError::Conflict { .. }) => return Err(self.under_way()),
            committed => committed?,
        };
        forget_old(&center).await?;
        drive::drive(&center, &id, &by, lease, format).await
    }

    fn under_way(&self) -> Failure {
        let service = &self.service;
        Failure::new(format!(
            "{service} has another release under way; see `regatta config releases {service}`"
        ))
    }

    async fn release(&self, center: &Center, by: &str) -> Result<State, Failure> {
        if self.service == Layout::SHARED {
            let text = "a release is of one service; set what all share with `regatta config set`";
            return Err(Failure::usage(text));
        }
        let mut changes = BTreeMap::new();
        let wanted = self.changes.iter().map(|(key, value)| (key, Some(value.clone())));
        for (key, value) in wanted.chain(self.deletions.iter().map(|key| (key, None))) {
            center.key(&self.service, None, key)?;
            if changes.insert(key.clone(), value).is_some() {
                return Err(Failure::usage(format!(
                    "`{key}` is given twice; say once what it shall be"
                )));
            }
        }
        if changes.is_empty() || changes.len() > State::MOST_CHANGES {
            let text = format!(
                "{} settings are given; give 1 to {}, as KEY=VALUE or with --delete KEY",
                changes.len(),
                State::MOST_CHANGES
            );
            return Err(Failure::usage(text));
        }
        let present = settings(center, &self.service).await?;
        let mut stages = self.stages.clone();
        if !stages.last().is_some_and(|stage| stage.is_all()) {
            stages.push(Stage::Percent(100));
        }
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut release = State {
            id: id(&self.service),
            service: self.service.clone(),
            before: BTreeMap::new(),
            revisions: BTreeMap::new(),
            changes,
            stages,
            thresholds: Thresholds {
                accept_within_ms: ms(self.accept_within),
                window_ms: ms(self.window),
                unready_for_ms: ms(self.unready_for),
                max_error_percent: self.max_error_percent,
                min_requests: self.min_requests,
            },
            on_worse: if self.auto_rollback { OnWorse::RollBack } else { OnWorse::Halt },
            by: by.to_owned(),
            why: self.reason.why.clone(),
            baseline_percent: None,
            phase: Phase::Done,
            notes: Vec::new(),
        };
        release.begin_from(&present);
        Ok(release)
    }
}

/// Names the release for the time it begins at.
fn id(service: &str) -> String {
    let format = time::macros::format_description!("[year][month][day]-[hour][minute][second]");
    let now = time::OffsetDateTime::from(regatta_auth::now());
    format!("{service}-{}", now.format(format).unwrap_or_default())
}

/// Notes of releases that nobody drove any more that they have lapsed: this service has none under
/// way.
async fn lapsed(center: &Center, service: &str) -> Result<(), Failure> {
    let items = center.port.list(&Query::prefix(center.layout.releases())).await?.items;
    for item in items {
        let Some(mut release) = State::parse(&item.value) else { continue };
        if release.service != service || !matches!(release.phase, Phase::Staging(_)) {
            continue;
        }
        release.lapse(now_ms());
        let keep = Writes::new(&center.layout, &release).keep(item.revision);
        match center.port.commit(keep).await {
            // Somebody else did, or goes on with it.
            Ok(_) | Err(CenterError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Deletes the oldest releases that are over, so that the center does not fill up with them.
async fn forget_old(center: &Center) -> Result<(), Failure> {
    let items = center.port.list(&Query::prefix(center.layout.releases())).await?.items;
    let mut over: Vec<_> = items
        .iter()
        .filter(|item| State::parse(&item.value).is_none_or(|release| !release.is_open()))
        .collect();
    over.sort_by_key(|item| item.revision);
    for item in over.iter().take(over.len().saturating_sub(KEPT)) {
        let expected = regatta_config::center::Expected::Revision(item.revision);
        match center.port.delete(&item.key, expected).await {
            // Somebody else did.
            Ok(_) | Err(CenterError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE, such as client.timeout=2s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_key_and_a_value() {
        assert_eq!(pair("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
