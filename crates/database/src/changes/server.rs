//! Tells and hears of commits through `NOTIFY` and `LISTEN`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio_util::task::TaskTracker;

use super::News;
use crate::Postgres;

/// The one channel of the server; which of ours it is about is said in the notification. So one
/// connection listens for all, also for those that come later.
const CHANNEL: &str = "regatta_changes";

/// The pause after news: what is committed meanwhile is told together. Each costs the server a
/// transaction, as much as a small append; 5 ms more or less are little to who listens.
const GAP: Duration = Duration::from_millis(5);

/// The pause before listening is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells a server.
#[derive(Debug)]
pub(super) struct Server {
    pool: PgPool,
    telling: Arc<Mutex<Telling>>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Telling {
    /// The channels that have something to tell.
    wanted: BTreeSet<&'static str>,
    /// A task tells.
    runs: bool,
}

/// Hears the news; connects when it is first asked, and again after an outage.
#[derive(Debug)]
pub(super) struct Listener {
    pool: PgPool,
    listener: Option<PgListener>,
}

impl Server {
    pub(super) fn new(postgres: &Postgres) -> Self {
        let pool = postgres.pool().clone();
        Self { pool, telling: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Tells the channel, at once or within 5 ms of the last news, in a task that ends when there is
    /// nothing more to tell.
    ///
    /// A task that is cut off, or a server that is away, costs those who listen their fallback.
    pub(super) fn announce(&self, channel: &'static str) {
        let mut telling = lock(&self.telling);
        telling.wanted.insert(channel);
        if std::mem::replace(&mut telling.runs, true) {
            return;
        }
        drop(telling);
        let (pool, telling) = (self.pool.clone(), self.telling.clone());
        self.tasks.spawn(async move {
            while let Some(channels) = next(&telling) {
                for channel in channels {
                    // News tell nothing that is not committed already; a flush would be for nothing.
                    let notify = "SELECT set_config('synchronous_commit', 'off', true),
                        pg_notify($1, $2)::text";
                    let notify = sqlx::query(notify).bind(CHANNEL).bind(channel);
                    if let Err(error) = notify.execute(&pool).await {
                        tracing::debug!(channel, %error, "no news sent; listeners look by themselves");
                    }
                }
                tokio::time::sleep(GAP).await;
            }
        });
    }
}

/// What is to be told next; without anything the task that asks is over.
fn next(telling: &Mutex<Telling>) -> Option<BTreeSet<&'static str>> {
    let mut telling = lock(telling);
    let channels = std::mem::take(&mut telling.wanted);
    telling.runs = !channels.is_empty();
    telling.runs.then_some(channels)
}

fn lock(telling: &Mutex<Telling>) -> MutexGuard<'_, Telling> {
    // Each change of it leaves nothing half-made.
    telling.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener {
    pub(super) fn new(postgres: &Postgres) -> Self {
        Self { pool: postgres.news().clone(), listener: None }
    }

    /// Waits for news, or for a connection that may have missed some.
    pub(super) async fn next(&mut self) -> News {
        let heard = match &mut self.listener {
            Some(listener) => listener.try_recv().await,
            None => self.connect().await.map(|()| None),
        };
        match heard {
            Ok(Some(notification)) => News::Of(notification.payload().to_owned()),
            Ok(None) => News::Any,
            Err(error) => {
                tracing::debug!(%error, "cannot listen; trying again");
                self.listener = None;
                tokio::time::sleep(PAUSE).await;
                News::Any
            }
        }
    }

    async fn connect(&mut self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        self.listener = Some(listener);
        Ok(())
    }
}
