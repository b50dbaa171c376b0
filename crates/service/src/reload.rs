//! Changes of the configuration while the service runs: its file, its config center.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use regatta_client::Client;
use regatta_config::{CenterLayer, Config, Entry, Problems, Schema};
use regatta_core::Chain;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Service;
use crate::center::{Feed, Found, Live, Opened, Standing};
use crate::serve::Door;
use crate::settings::{Groups, Settings};

/// What changes without a restart.
const LIVE: [&str; 2] = ["client.", "shed."];

/// How long a file must rest before it is read: an editor may write it in two steps.
const SETTLE: Duration = Duration::from_millis(100);

/// Where the settings come from, and how they are read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Without the config center.
    pub(crate) config: Config,
    /// Of the chassis and of the service's own settings.
    pub(crate) schemas: Vec<Schema>,
    pub(crate) load: fn(&Config) -> Result<Groups, Problems>,
}

/// Looks at the configuration file now and then, hears the config center, and applies what may
/// change live.
#[derive(Debug)]
pub(crate) struct Reload {
    source: Source,
    every: Duration,
    client: Client,
    door: Door,
    /// Of the instance as it was registered.
    zone: Option<String>,
    instance: String,
    live: Live,
    center: Option<(Opened, Feed)>,
    handle: Handle,
}

/// What runs, and what was refused; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes those who tell others of the center's part.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    running: Vec<Entry>,
    /// Of the file.
    refused: Option<String>,
    at_next_start: Vec<String>,
    center: Standing,
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

/// The layers as they were last found right.
struct Good {
    /// Files and environment.
    base: Config,
    /// What the center has for this instance.
    layer: CenterLayer,
    /// What was heard last, taken over or refused: that the center is away is no news of it.
    heard: Option<Found>,
}

impl Reload {
    pub(crate) fn new(service: &Service, instance: &str) -> Self {
        let source = service.source.clone();
        let running = service.live.config().entries_of(&source.schemas);
        let opened = service.config_center.clone();
        let center = Standing {
            revision: opened.as_ref().map_or(0, |opened| opened.begin.revision()),
            refused: opened.as_ref().and_then(|opened| opened.refused.clone()),
            ..Standing::default()
        };
        let state = State { running, refused: None, at_next_start: Vec::new(), center };
        let shared = Shared { state: Mutex::new(state), changed: watch::Sender::new(()) };
        let center = opened.map(|opened| {
            let feed = Feed::start(&opened, &service.tasks);
            (opened, feed)
        });
        Self {
            every: service.settings.reload.reload_every,
            client: service.client.clone(),
            door: service.door.clone(),
            zone: service.settings.service.zone.clone(),
            instance: instance.to_owned(),
            live: service.live.clone(),
            center,
            handle: Handle(Arc::new(shared)),
            source,
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What comes of the config center; none where there is none.
    pub(crate) fn feed(&self) -> Option<Feed> {
        self.center.as_ref().map(|(_, feed)| feed.clone())
    }

    /// Whether there is something that may change, and somebody wants to know.
    pub(crate) fn watches(&self) -> bool {
        self.watches_files() || self.center.is_some()
    }

    fn watches_files(&self) -> bool {
        !self.every.is_zero() && self.source.config.file_paths().next().is_some()
    }

    /// Watches until the drain.
    pub(crate) async fn run(self, drain: CancellationToken) {
        let paths: Vec<_> = self.source.config.file_paths().map(Path::to_owned).collect();
        let watches_files = self.watches_files();
        let (base, layer) = (self.source.config.clone(), CenterLayer::default());
        let mut good = Good { base, layer, heard: None };
        // The instance knows its name by now, which it may not have when it was opened.
        self.hear_center(&mut good).await;
        // Nothing was seen yet: the file may have changed since the service was opened.
        let mut seen = None;
        let mut look = tokio::time::interval(self.every.max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look.reset();
        let mut feed = self.feed();
        loop {
            let told = async {
                match &mut feed {
                    Some(feed) => feed.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = drain.cancelled() => return,
                _ = look.tick(), if watches_files => self.look(&paths, &mut seen, &mut good).await,
                () = told => self.hear_center(&mut good).await,
            }
        }
    }

    /// Looks at the file, and reads it when it has changed and rests.
    async fn look(
        &self,
        paths: &[PathBuf],
        seen: &mut Option<Vec<Option<Stamp>>>,
        good: &mut Good,
    ) {
        let mut found = stamps(paths).await;
        if seen.as_ref() == Some(&found) {
            return;
        }
        loop {
            tokio::time::sleep(SETTLE.min(self.every)).await;
            let later = stamps(paths).await;
            if later == found {
                break;
            }
            found = later;
        }
        *seen = Some(found);
        let base = self.source.config.clone();
        // A file is small and may lie on a disk that is slow or away.
        let read = tokio::task::spawn_blocking(move || base.reread()).await;
        let applied = match read {
            Ok(Ok(base)) => self.apply(&base, &good.layer, None).map(|()| good.base = base),
            Ok(Err(problems)) => Err(problems.to_string()),
            Err(panic) => Err(Chain(&panic).to_string()),
        };
        match applied {
            Ok(()) => {
                self.handle.lock().refused = None;
                // What was refused over the old file may be right over the new one.
                if self.handle.standing().refused.is_some() {
                    good.heard = None;
                    self.hear_center(good).await;
                }
            }
            Err(reason) => self.refuse(&reason),
        }
    }

    /// Takes over what the center has now, all of it or nothing.
    async fn hear_center(&self, good: &mut Good) {
        let Some((opened, feed)) = &self.center else { return };
        let found = feed.current();
        if good.heard.as_ref() == Some(&found) {
            return;
        }
        good.heard = Some(found.clone());
        let revision = found.revision();
        let before = self.handle.standing();
        let layer = opened.layer(&found, Some(&self.instance));
        let standing = Standing {
            revision,
            refused: None,
            release: layer.release().map(str::to_owned),
            rollout: layer.rollout().map(str::to_owned),
        };
        let taken = self.apply(&good.base, &layer, Some(standing));
        let is_taken = taken.is_ok();
        match taken {
            Ok(()) => good.layer = layer,
            Err(reason) => {
                let is_news = before.refused.as_ref().is_none_or(|(_, told)| *told != reason);
                if is_news {
                    tracing::error!(
                        revision,
                        reason,
                        "settings of the config center are refused; the old ones stay"
                    );
                }
                // The changes of a release count as refused while it is there, so it is watched.
                let rollout = opened.rollout(&found).or(before.rollout.clone());
                let refused = Some((revision, reason));
                self.handle.lock().center = Standing { refused, rollout, ..before.clone() };
            }
        }
        if self.handle.standing() != before {
            self.handle.0.changed.send_replace(());
        }
        if let Some(kept) = opened.kept.clone().filter(|_| is_taken && revision > 0) {
            // A disk that is slow or away must not hold up the runtime.
            let kept = tokio::task::spawn_blocking(move || kept.write(&found));
            let _panicked = kept.await;
        }
    }

    /// Takes over files and center as they are given, all of it or nothing; `center` is what runs of
    /// the center then.
    fn apply(
        &self,
        base: &Config,
        layer: &CenterLayer,
        center: Option<Standing>,
    ) -> Result<(), String> {
        let config = base.with_center(layer.clone());
        let groups = (self.source.load)(&config).map_err(|problems| problems.to_string())?;
        self.live.check(&config).map_err(|problems| problems.to_string())?;
        let found = config.entries_of(&self.source.schemas);
        let mut state = self.handle.lock();
        let is_live = |key: &str| is_live(key) || self.live.is_watched(key);
        let (live, waiting) = differences(&state.running, &found, is_live);
        if live.iter().any(|key| self::is_live(key)) {
            self.reconfigure(&Settings::from(groups))?;
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
        if let Some(center) = center {
            state.center = center;
        }
        drop(state);
        self.live.replace(config);
        Ok(())
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
    /// Why what there is now is not applied; none when it is.
    pub(crate) fn refused(&self) -> Option<String> {
        let state = self.lock();
        state.refused.clone().or_else(|| state.center.problem())
    }

    /// Which revision of the config center runs.
    pub(crate) fn standing(&self) -> Standing {
        self.lock().center.clone()
    }

    /// Wakes with each change of [`Handle::standing`].
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// What runs: the values with their origins, what was refused, what waits for a restart.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let state = self.lock();
        serde_json::json!({
            "values": crate::show::to_json(&state.running),
            "refused": state.refused,
            "at_next_start": state.at_next_start,
            "config_center": state.center.to_json(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys whose values have changed: those that hold at once, and all others.
fn differences(
    running: &[Entry],
    found: &[Entry],
    is_live: impl Fn(&str) -> bool,
) -> (Vec<String>, Vec<String>) {
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
        let (live, waiting) = differences(&running, &found, is_live);
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
        assert!(differences(&before, &before, is_live).1.is_empty());
        let after = entries("fedcba9876543210fedcba9876543210");
        assert_eq!(differences(&before, &after, is_live).1, ["auth.secret"]);
        assert!(!format!("{after:?}").contains("fedcba"));
    }

    #[test]
    fn keys_that_come_and_go_are_changes_too() {
        let running = entries(&[("mine.gone", "1"), ("client.services.a.timeout", "1s")]);
        let found = entries(&[("mine.new", "1"), ("client.services.b.timeout", "1s")]);
        let (live, waiting) = differences(&running, &found, is_live);
        assert_eq!(live, ["client.services.a.timeout", "client.services.b.timeout"]);
        assert_eq!(waiting, ["mine.gone", "mine.new"]);
    }
}
