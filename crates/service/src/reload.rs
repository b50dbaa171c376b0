//! The configuration file, read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regatta_client::Client;
use regatta_config::{Config, Entry, Problems, Schema};
use regatta_core::Chain;
use tokio_util::sync::CancellationToken;

use crate::Service;
use crate::settings::{Groups, Settings};

/// What becomes of a change without a restart.
const LIVE: &str = "client.";

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
        let mut seen = stamps(&paths).await;
        while drain.run_until_cancelled(tokio::time::sleep(self.every)).await.is_some() {
            let mut found = stamps(&paths).await;
            if found == seen {
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
            seen = found;
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
        if let Err(error) = self.client.reconfigure(settings.client.policies()) {
            return self.refuse(&Chain(&error).to_string());
        }
        let mut state = self.handle.lock();
        let (applied, waiting) =
            differences(&state.running, config.entries_of(&self.source.schemas));
        for entry in &applied {
            let (key, value, origin) = (&entry.key, &entry.value, &entry.origin);
            tracing::info!(%key, %value, %origin, "a setting has changed");
        }
        if !waiting.is_empty() && waiting != state.at_next_start {
            tracing::warn!(keys = ?waiting, "settings have changed that hold from the next start");
        }
        state.running.retain(|entry| !is_live(&entry.key));
        state
            .running
            .extend(config.entries_of(&self.source.schemas).into_iter().filter(is_live_entry));
        state.running.sort_by(|a, b| a.key.cmp(&b.key));
        state.at_next_start = waiting;
        state.refused = None;
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

/// What has changed: live entries with their new values, and the keys of all others.
fn differences(running: &[Entry], found: Vec<Entry>) -> (Vec<Entry>, Vec<String>) {
    let gone = running.iter().filter(|old| !found.iter().any(|new| new.key == old.key));
    let mut waiting: Vec<_> =
        gone.filter(|old| !is_live(&old.key)).map(|old| old.key.clone()).collect();
    let is_other = |new: &Entry| {
        running.iter().find(|old| old.key == new.key).is_none_or(|old| old.value != new.value)
    };
    let (live, other): (Vec<_>, Vec<_>) =
        found.into_iter().filter(is_other).partition(is_live_entry);
    waiting.extend(other.into_iter().map(|entry| entry.key));
    waiting.sort();
    (live, waiting)
}

fn is_live(key: &str) -> bool {
    key.starts_with(LIVE)
}

fn is_live_entry(entry: &Entry) -> bool {
    is_live(&entry.key)
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
        let (live, waiting) = differences(&running, found);
        assert_eq!(live.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["client.timeout"]);
        assert_eq!(waiting, ["server.port"]);
    }

    #[test]
    fn keys_that_come_and_go_are_changes_too() {
        let running = entries(&[("mine.gone", "1"), ("client.services.a.timeout", "1s")]);
        let found = entries(&[("mine.new", "1"), ("client.services.b.timeout", "1s")]);
        let (live, waiting) = differences(&running, found);
        assert_eq!(live.len(), 1);
        assert_eq!(waiting, ["mine.gone", "mine.new"]);
    }
}
