//! Wakes who waits for new rows, in whatever process they were committed.

#[cfg(target_os = "linux")]
mod file;
mod server;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::Engine;

use server::Server;

/// After how long a watcher looks by itself: news may be lost with a connection.
const FALLBACK: Duration = Duration::from_secs(1);
/// How often a file is looked at where nothing tells of its changes.
const POLL: Duration = Duration::from_millis(50);

/// Tells and hears of commits; clones share what they hear with.
///
/// - SQLite file: its write-ahead log is watched (`inotify` on Linux, else looked at every 50 ms), so
///   every commit of every process wakes, within about a millisecond.
/// - PostgreSQL: `LISTEN`, and a `NOTIFY` for what was [told](Changes::announce) after its commit. Not
///   within it: PostgreSQL lets only one transaction that notifies commit at a time.
/// - SQLite in memory: what was told in this process.
#[derive(Clone, Debug)]
pub struct Changes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    generation: watch::Sender<u64>,
    /// Whoever holds it listens for all.
    source: Mutex<Source>,
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

/// Waits for commits, from its creation on.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    generation: watch::Receiver<u64>,
}

impl Changes {
    pub(crate) fn new(engine: &Engine, channel: &'static str) -> Self {
        let server = match engine {
            Engine::Postgres(postgres) => Some(Server::new(postgres, channel)),
            Engine::Sqlite(_) => None,
        };
        let source = match (engine, &server) {
            (_, Some(server)) => Source::Server(server.listener()),
            (Engine::Sqlite(sqlite), None) => match sqlite.file() {
                None => Source::Process,
                #[cfg(target_os = "linux")]
                Some(path) => Source::File(file::File::new(path)),
                #[cfg(not(target_os = "linux"))]
                Some(_) => Source::Poll,
            },
            (Engine::Postgres(_), None) => Source::Process,
        };
        let generation = watch::Sender::new(0);
        Self { shared: Arc::new(Shared { generation, source: Mutex::new(source), server }) }
    }

    /// Tells of a commit, after it. It returns at once; many at a time become one.
    pub fn announce(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
        if let Some(server) = &self.shared.server {
            server.announce();
        }
    }

    /// Hears of what is committed from now on.
    pub fn watch(&self) -> Watcher {
        let generation = self.shared.generation.subscribe();
        Watcher { shared: self.shared.clone(), generation }
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
            // The sender lives in `shared`, so this cannot fail.
            _ = self.generation.changed() => (),
            () = self.shared.listen() => (),
            () = tokio::time::sleep(FALLBACK) => (),
        }
        self.generation.mark_unchanged();
    }
}

impl Shared {
    /// Listens for all watchers, while no other one does. Only cancelling ends it.
    async fn listen(&self) {
        let mut source = self.source.lock().await;
        loop {
            source.next().await;
            self.generation.send_modify(|generation| *generation += 1);
        }
    }
}

impl Source {
    /// Waits for news. Cancel safe.
    async fn next(&mut self) {
        match self {
            Self::Process => std::future::pending().await,
            #[cfg(target_os = "linux")]
            Self::File(file) => file.next().await,
            Self::Poll => tokio::time::sleep(POLL).await,
            Self::Server(listener) => listener.next().await,
        }
    }
}
