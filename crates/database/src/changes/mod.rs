//! Wakes who waits for new rows, in whatever process they were committed.

#[cfg(target_os = "linux")]
mod file;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::Engine;

use server::Server;

/// After how long a watcher looks by itself: news may be lost with a connection.
const FALLBACK: Duration = Duration::from_secs(1);
/// How often a file is looked at where nothing tells of its changes.
const POLL: Duration = Duration::from_millis(50);

/// Tells and hears of commits; clones share what they hear with, and so do all channels of a
/// database.
///
/// - SQLite file: its write-ahead log is watched (`inotify` on Linux, else looked at every 50 ms), so
///   every commit of every process wakes, within about a millisecond.
/// - PostgreSQL: `LISTEN`, on one connection beside the pool, and a `NOTIFY` for what was
///   [told](Changes::announce) after its commit. Not within it: PostgreSQL lets only one transaction
///   that notifies commit at a time.
/// - SQLite in memory: what was told in this process.
#[derive(Clone, Debug)]
pub struct Changes {
    hub: Arc<Hub>,
    channel: &'static str,
    generation: watch::Sender<u64>,
}

/// Waits for commits, from its creation on.
#[derive(Debug)]
pub struct Watcher {
    hub: Arc<Hub>,
    generation: watch::Receiver<u64>,
}

/// What all channels of a database share: one ear, however many wait.
#[derive(Debug)]
pub(crate) struct Hub {
    /// As many as there are names in the code.
    channels: Mutex<BTreeMap<&'static str, watch::Sender<u64>>>,
    /// Whoever holds it listens for all.
    source: tokio::sync::Mutex<Source>,
    server: Option<Server>,
}

#[derive(Debug)]
enum Source {
    /// Nothing outside of this process.
    Process,
    #[cfg(target_os = "linux")]
    File(file::File),
    /// Nothing tells; one has to look.
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "for other systems"))]
    Poll,
    Server(server::Listener),
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// Anything may have been committed.
    Any,
    /// Something of this channel.
    Of(String),
}

impl Hub {
    pub(crate) fn new(engine: &Engine) -> Self {
        let server = match engine {
            Engine::Postgres(postgres) => Some(Server::new(postgres)),
            Engine::Sqlite(_) => None,
        };
        let source = match engine {
            Engine::Postgres(postgres) => Source::Server(server::Listener::new(postgres)),
            Engine::Sqlite(sqlite) => match sqlite.file() {
                None => Source::Process,
                #[cfg(target_os = "linux")]
                Some(path) => Source::File(file::File::new(path)),
                #[cfg(not(target_os = "linux"))]
                Some(_) => Source::Poll,
            },
        };
        let source = tokio::sync::Mutex::new(source);
        Self { channels: Mutex::default(), source, server }
    }

    /// Listens for all watchers, while no other one does. Only cancelling ends it.
    async fn listen(&self) {
        let mut source = self.source.lock().await;
        loop {
            let news = source.next().await;
            self.wake(&news);
        }
    }

    fn wake(&self, news: &News) {
        for (channel, generation) in &*self.channels() {
            let concerns = match news {
                News::Any => true,
                News::Of(name) => name == channel,
            };
            if concerns {
                generation.send_modify(|number| *number += 1);
            }
        }
    }

    fn channels(&self) -> MutexGuard<'_, BTreeMap<&'static str, watch::Sender<u64>>> {
        // A map of names is whole whatever happened to who held it.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    pub(crate) fn new(hub: Arc<Hub>, channel: &'static str) -> Self {
        let generation =
            hub.channels().entry(channel).or_insert_with(|| watch::Sender::new(0)).clone();
        Self { hub, channel, generation }
    }

    /// Tells of a commit, after it. It returns at once; many at a time become one.
    pub fn announce(&self) {
        self.generation.send_modify(|generation| *generation += 1);
        if let Some(server) = &self.hub.server {
            server.announce(self.channel);
        }
    }

    /// Hears of what is committed from now on.
    pub fn watch(&self) -> Watcher {
        Watcher { hub: self.hub.clone(), generation: self.generation.subscribe() }
    }
}

impl Watcher {
    /// Waits for a commit since the last call (or since the watcher was made), at most 1 s. It may
    /// return without one: whoever waits looks again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a commit that was not reported yet is reported by the next call.
    pub async fn changed(&mut self) {
        tokio::select! {
            // The sender lives in the hub, so this cannot fail.
            _ = self.generation.changed() => (),
            () = self.hub.listen() => (),
            () = tokio::time::sleep(FALLBACK) => (),
        }
        self.generation.mark_unchanged();
    }
}

impl Source {
    /// Waits for news. Cancel safe.
    async fn next(&mut self) -> News {
        match self {
            Self::Process => std::future::pending().await,
            #[cfg(target_os = "linux")]
            Self::File(file) => {
                file.next().await;
                News::Any
            }
            Self::Poll => {
                tokio::time::sleep(POLL).await;
                News::Any
            }
            Self::Server(listener) => listener.next().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_wake_whom_they_concern_and_what_may_have_been_missed_everybody() {
        let source = tokio::sync::Mutex::new(Source::Process);
        let hub = Arc::new(Hub { channels: Mutex::default(), source, server: None });
        let (one, two) = (Changes::new(hub.clone(), "one"), Changes::new(hub.clone(), "two"));
        let (one, two) = (one.watch().generation, two.watch().generation);
        let mut again = Changes::new(hub.clone(), "one").watch().generation;
        hub.wake(&News::Of("one".to_owned()));
        assert!(one.has_changed().unwrap() && again.has_changed().unwrap());
        assert!(!two.has_changed().unwrap());
        again.mark_unchanged();
        hub.wake(&News::Any);
        assert!(two.has_changed().unwrap() && again.has_changed().unwrap());
    }
}
