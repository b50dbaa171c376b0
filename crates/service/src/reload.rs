//! The configuration file, read again when it changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regatta_client::Client;
use regatta_config::{Config, Entry, Problems, Schema};
use regatta_core::Chain;
use tokio_util::sync::CancellationToken;

use crate::Service;
use crate::serve::Door;
use crate::settings::{Groups, Settings};

/// What changes without a restart.
const LIVE: [&str; 2] = ["client.", "shed."];

/// How long a file must rest before it is read: an editor may write it in two steps.
const SETTLE: Duration = Duration::from_millis(100);

/// Where the settings come from, and how they are read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) config: Config,
    /// Of the chassis and of the service's own settings.
    pub(crate) schemas: Vec<Schema>,
    pub(crate) load: fn(&Config) -> Result<Groups, Problems>,
}

/// Looks at the configuration file now and then, and applies what may change live.
#[derive(Debug)]
pub(crate) struct Reload {
    source: Source,
    every: Duration,
    client: Client,
    door: Door,
    /// Of the instance as it was registered.
    zone: Option<String>,
    handle: Handle,
}

/// What runs, and what was refused; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    running: Vec<Entry>,
    refused: Option<String>,
    at_next_start: Vec<String>,
}

/// What tells one version of a file from the next, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// A file that is replaced by another one, as Kubernetes does, has another number.
    #[cfg(unix)]
    number: u64,
}

impl Reload {
    pub(crate) fn new(service: &Service) -> Self {
        let source = service.source.clone();
        let running = source.config.entries_of(&source.schemas);
        let state = State { running, refused: None, at_next_start: Vec::new() };
        Self {
            every: service.settings.reload.reload_every,
            client: service.client.clone(),
            door: service.door.clone(),
            zone: service.settings.service.zone.clone(),
            handle: Handle(Arc::new(Mutex::new(state))),
            source,
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether there is a file that may change, and somebody wants to know.
    pub(crate) fn watches(&self) -> bool {
        !self.every.is_zero() && self.source.config.file_paths().next().is_some()
    }

    /// Watches until the drain.
    pub(crate) async fn run(self, drain: CancellationToken) {
        let paths: Vec<_> = self.source.config.file_paths().map(Path::to_owned).collect();
        // Nothing was seen yet: the file may have changed since the service was opened.
        let mut seen = None;
        while drain.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            let mut found = stamps(&paths).await;
            if seen.as_ref() == Some(&found) {
                continue;
            }
            loop {
                tokio::time::sleep(SETTLE.min(self.every)).await;
                let later = stamps(&paths).await;
                if later == found {
                    break;
                }
                found = later;
            }
            seen = Some(found);
            let source = self.source.clone();
            // A file is small and may lie on a disk that is slow or away.
            let read = tokio::task::spawn_blocking(move || {
                let config = source.config.reread()?;
                (source.load)(&config).map(|groups| (config, Settings::from(groups)))
            });
            match read.await {
                Ok(Ok((config, settings))) => self.apply(&config, &settings),
                Ok(Err(problems)) => self.refuse(&problems.to_string()),
                Err(panic) => self.refuse(&Chain(&panic).to_string()),
            }
        }
    }

    fn apply(&self, config: &Config, settings: &Settings) {
        let mut state = self.handle.lock();
        let found = config.entries_of(&self.source.schemas);
        let (live, waiting) = differences(&state.running, &found);
        if !live.is_empty()
            && let Err(reason) = self.reconfigure(settings)
        {
            drop(state);
            return self.refuse(&reason);
        }
        for key in &live {
            let entry = found.iter().find(|entry| entry.key == *key);
            let value = entry.map_or("", |entry| &entry.value);
            let origin = entry.map(|entry| entry.origin.to_string());
            tracing::info!(key, value, origin, "a setting has changed");
        }
        if !waiting.is_empty() && waiting != state.at_next_start {
            tracing::warn!(keys = ?waiting, "settings have changed that hold from the next start");
        }
        state.running.retain(|entry| !is_live(&entry.key));
        state.running.extend(found.into_iter().filter(|entry| is_live(&entry.key)));
        state.running.sort_by(|a, b| a.key.cmp(&b.key));
        state.at_next_start = waiting;
        state.refused = None;
    }

    /// All of it or, when some of it does not validate, nothing.
    fn reconfigure(&self, settings: &Settings) -> Result<(), String> {
        let policies = settings.client.policies(self.zone.as_deref());
        let shed = settings.shed.concurrency();
        policies.validate().map_err(|error| Chain(&error).to_string())?;
        shed.validate().map_err(|error| Chain(&error).to_string())?;
        self.client.reconfigure(policies).map_err(|error| Chain(&error).to_string())?;
        self.door.reconfigure(shed).map_err(|error| Chain(&error).to_string())
    }

    fn refuse(&self, reason: &str) {
        tracing::error!(reason, "the changed configuration is refused; the old one stays");
        self.handle.lock().refused = Some(reason.to_owned());
    }
}

impl Handle {
    /// Why the file as it is now is not applied; none when it is.
    pub(crate) fn refused(&self) -> Option<String> {
        self.lock().refused.clone()
    }

    /// What runs: the values with their origins, what was refused, what waits for a restart.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let state = self.lock();
        serde_json::json!({
            "values": crate::show::to_json(&state.running),
            "refused": state.refused,
            "at_next_start": state.at_next_start,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys whose values have changed: those that hold at once, and all others.
fn differences(running: &[Entry], found: &[Entry]) -> (Vec<String>, Vec<String>) {
    let find =
        |entries: &[Entry], key: &str| entries.iter().find(|entry| entry.key == key).cloned();
    let is_same = |key: &str| match (find(running, key), find(found, key)) {
        (Some(before), Some(after)) => before.has_value_of(&after),
        (before, after) => before.is_none() && after.is_none(),
    };
    let keys: BTreeSet<_> = running.iter().chain(found).map(|entry| &entry.key).collect();
    let changed = keys.into_iter().filter(|key| !is_same(key));
    changed.cloned().partition(|key| is_live(key))
}

fn is_live(key: &str) -> bool {
    LIVE.iter().any(|group| key.starts_with(group))
}

async fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let mut stamps = Vec::new();
    for path in paths {
        stamps.push(tokio::fs::metadata(path).await.ok().map(|metadata| Stamp {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            number: std::os::unix::fs::MetadataExt::ino(&metadata),
        }));
    }
    stamps
}

#[cfg(test)]
mod tests {
    use regatta_config::Origin;

    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
        let config = Config::builder().build().unwrap();
        let mut entry = config.entries::<Groups>().remove(0);
        entry.origin = Origin::Default;
        let named = |(key, value): &(&str, &str)| {
            let mut entry = entry.clone();
            (entry.key, entry.value) = ((*key).to_owned(), (*value).to_owned());
            entry
        };
        pairs.iter().map(named).collect()
    }

    #[test]
    fn settings_of_the_client_are_applied_and_all_others_wait() {
        let running =
            entries(&[("client.timeout", "1s"), ("server.port", "1"), ("log.level", "a")]);
        let found = entries(&[("client.timeout", "2s"), ("server.port", "2"), ("log.level", "a")]);
        let (live, waiting) = differences(&running, &found);
        assert_eq!(live, ["client.timeout"]);
        assert_eq!(waiting, ["server.port"]);
    }

    #[test]
    fn a_rotated_secret_is_a_change_and_is_not_shown() {
        let entries = |secret: &str| {
            let yaml = format!("auth: {{secret: {secret}}}");
            Config::builder().yaml("config.yaml", &yaml).build().unwrap().entries::<Groups>()
        };
        let before = entries("0123456789abcdef0123456789abcdef");
        assert!(before.iter().any(|entry| entry.key == "auth.secret" && entry.value == "***"));
        assert!(differences(&before, &before).1.is_empty());
        let after = entries("fedcba9876543210fedcba9876543210");
        assert_eq!(differences(&before, &after).1, ["auth.secret"]);
        assert!(!format!("{after:?}").contains("fedcba"));
    }

    #[test]
    fn keys_that_come_and_go_are_changes_too() {
        let running = entries(&[("mine.gone", "1"), ("client.services.a.timeout", "1s")]);
        let found = entries(&[("mine.new", "1"), ("client.services.b.timeout", "1s")]);
        let (live, waiting) = differences(&running, &found);
        assert_eq!(live, ["client.services.a.timeout", "client.services.b.timeout"]);
        assert_eq!(waiting, ["mine.gone", "mine.new"]);
    }
}
