//! The configuration as it runs, and single values of it under watch.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_config::{Config, Problems, Setting};
use tokio::sync::watch;

/// The configuration as it runs; cheap to clone, and clones are one.
#[derive(Clone)]
pub(crate) struct Live {
    state: Arc<Mutex<State>>,
}

struct State {
    config: Config,
    watches: Vec<Box<dyn Watching>>,
}

/// Makes a change visible, once all of it was found right.
type Publish = Box<dyn FnOnce() + Send>;

/// A watched value, whatever its type.
trait Watching: Send {
    fn key(&self) -> &str;
    fn is_over(&self) -> bool;
    fn read(&self, config: &Config) -> Result<Publish, Problems>;
}

/// One setting that is watched: its value now, and each one after. Dropping it, or
/// [`Watched::stop`], ends the watch.
///
/// A value that is no `T` never comes: the configuration it stands in is refused, and the old one
/// stays.
#[derive(Clone, Debug)]
pub struct Watched<T> {
    value: watch::Receiver<Option<T>>,
}

struct Watcher<T> {
    key: String,
    value: watch::Sender<Option<T>>,
}

impl<T: Clone> Watched<T> {
    /// The value now; none when no layer has it.
    pub fn current(&self) -> Option<T> {
        self.value.borrow().clone()
    }

    /// Waits for a value that was not returned from here before; for ever once the service has
    /// ended. None: the setting is gone from all layers. Several changes in a row may be seen as one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a change is not lost by dropping the future.
    pub async fn changed(&mut self) -> Option<T> {
        if self.value.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.value.borrow_and_update().clone()
    }

    /// Ends the watch.
    pub fn stop(self) {}
}

impl<T: Setting + Clone + PartialEq + Send + Sync + 'static> Watching for Watcher<T> {
    fn key(&self) -> &str {
        &self.key
    }

    fn is_over(&self) -> bool {
        self.value.is_closed()
    }

    fn read(&self, config: &Config) -> Result<Publish, Problems> {
        let found = config.get::<T>(&self.key)?;
        let value = self.value.clone();
        Ok(Box::new(move || {
            value.send_if_modified(|held| {
                let differs = *held != found;
                *held = found;
                differs
            });
        }))
    }
}

impl Live {
    pub(crate) fn new(config: Config) -> Self {
        Self { state: Arc::new(Mutex::new(State { config, watches: Vec::new() })) }
    }

    /// The configuration that runs now.
    pub(crate) fn config(&self) -> Config {
        self.lock().config.clone()
    }

    /// Watches one setting.
    pub(crate) fn watch<T>(&self, key: &str) -> Result<Watched<T>, Problems>
    where
        T: Setting + Clone + PartialEq + Send + Sync + 'static,
    {
        let mut state = self.lock();
        state.watches.retain(|watch| !watch.is_over());
        let (sender, value) = watch::channel(state.config.get::<T>(key)?);
        state.watches.push(Box::new(Watcher { key: key.to_owned(), value: sender }));
        Ok(Watched { value })
    }

    /// Whether somebody watches a setting, or one below it.
    pub(crate) fn is_watched(&self, key: &str) -> bool {
        let is_at = |watched: &str| {
            key.strip_prefix(watched).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.lock().watches.iter().any(|watch| !watch.is_over() && is_at(watch.key()))
    }

    /// Whether every watched value of a configuration that is to run is what is asked for.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Problems> {
        let state = self.lock();
        let mut watches = state.watches.iter().filter(|watch| !watch.is_over());
        watches.try_for_each(|watch| watch.read(config).map(drop))
    }

    /// Takes a configuration over that was checked, and tells those who watch.
    pub(crate) fn replace(&self, config: Config) {
        let mut state = self.lock();
        for watch in state.watches.iter().filter(|watch| !watch.is_over()) {
            // Also to one that has come since the check; what is not of its type it does not get.
            match watch.read(&config) {
                Ok(publish) => publish(),
                Err(problems) => {
                    let (key, reason) = (watch.key(), problems.to_string());
                    tracing::warn!(key, reason, "a watched setting keeps its last value");
                }
            }
        }
        state.config = config;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        Config::builder().yaml("c.yaml", yaml).build().unwrap()
    }

    fn apply(live: &Live, yaml: &str) -> Result<(), Problems> {
        let config = config(yaml);
        live.check(&config)?;
        live.replace(config);
        Ok(())
    }

    #[tokio::test]
    async fn a_watched_value_changes_and_goes() {
        let live = Live::new(config("payment: {limit: 5}"));
        let mut limit = live.watch::<u32>("payment.limit").unwrap();
        assert_eq!(limit.current(), Some(5));
        apply(&live, "payment: {limit: 7}").unwrap();
        assert_eq!(limit.changed().await, Some(7));
        apply(&live, "other: 1").unwrap();
        assert_eq!(limit.changed().await, None);
        assert_eq!(live.config().get::<u32>("other").unwrap(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_value_again_is_no_change() {
        let live = Live::new(config("payment: {limit: 5}"));
        let mut limit = live.watch::<u32>("payment.limit").unwrap();
        apply(&live, "payment: {limit: 5}\nother: 1").unwrap();
        let waited = tokio::time::timeout(std::time::Duration::from_secs(1), limit.changed());
        assert!(waited.await.is_err());
    }

    #[tokio::test]
    async fn one_wrong_value_keeps_all_from_changing() {
        let live = Live::new(config("a: 1\nb: 1"));
        let (a, b) = (live.watch::<u32>("a").unwrap(), live.watch::<u32>("b").unwrap());
        let problems = apply(&live, "a: 2\nb: many").unwrap_err().to_string();
        assert!(problems.contains("c.yaml:2:4: b: "), "{problems}");
        assert_eq!((a.current(), b.current()), (Some(1), Some(1)));
        assert!(live.watch::<bool>("a").is_err(), "not of this type");
    }

    #[tokio::test]
    async fn who_begins_to_watch_while_a_change_is_under_way_gets_it() {
        let live = Live::new(config("a: 1\nb: yes"));
        let next = config("a: 2\nb: no");
        live.check(&next).unwrap();
        let (a, b) = (live.watch::<u32>("a").unwrap(), live.watch::<String>("b").unwrap());
        live.replace(next);
        assert_eq!((a.current(), b.current().as_deref()), (Some(2), Some("no")));
    }

    #[tokio::test]
    async fn a_watch_that_is_stopped_refuses_nothing_any_more() {
        let live = Live::new(config("a: 1"));
        let watch = live.watch::<u32>("a").unwrap();
        assert!(live.is_watched("a") && live.is_watched("a.b") && !live.is_watched("ab"));
        watch.stop();
        apply(&live, "a: many").unwrap();
        assert!(!live.is_watched("a"));
    }
}
