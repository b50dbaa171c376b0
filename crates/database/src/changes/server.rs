//! Tells and hears of commits through `NOTIFY` and `LISTEN`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio_util::task::TaskTracker;

use crate::Postgres;

/// The pause before listening is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A server and the channel of the news.
#[derive(Debug)]
pub(super) struct Server {
    pool: PgPool,
    channel: &'static str,
    state: Arc<Telling>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Telling {
    /// There is something to tell.
    wanted: AtomicBool,
    /// A task tells.
    runs: AtomicBool,
}

/// Hears the news; connects when it is first asked, and again after an outage.
#[derive(Debug)]
pub(super) struct Listener {
    pool: PgPool,
    channel: &'static str,
    listener: Option<PgListener>,
}

impl Server {
    pub(super) fn new(postgres: &Postgres, channel: &'static str) -> Self {
        let pool = postgres.news().clone();
        Self { pool, channel, state: Arc::default(), tasks: TaskTracker::new() }
    }

    pub(super) fn listener(&self) -> Listener {
        Listener { pool: self.pool.clone(), channel: self.channel, listener: None }
    }

    /// Tells the channel, in a task that ends when there is nothing more to tell.
    ///
    /// A task that is cut off, or a server that is away, costs those who listen their fallback.
    pub(super) fn announce(&self) {
        // Sequentially consistent, all of them: whoever sets `wanted` sees a task that runs, or the
        // task sees what is wanted.
        self.state.wanted.store(true, Ordering::SeqCst);
        if self.state.runs.swap(true, Ordering::SeqCst) {
            return;
        }
        let (pool, channel, state) = (self.pool.clone(), self.channel, self.state.clone());
        self.tasks.spawn(async move {
            loop {
                while state.wanted.swap(false, Ordering::SeqCst) {
                    let notify = sqlx::query("SELECT pg_notify($1, '')").bind(channel);
                    if let Err(error) = notify.execute(&pool).await {
                        tracing::debug!(channel, %error, "no news sent; listeners look by themselves");
                    }
                }
                state.runs.store(false, Ordering::SeqCst);
                // Something came after the last look and before the task was known to end.
                let came = state.wanted.load(Ordering::SeqCst);
                if !came || state.runs.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        });
    }
}

impl Listener {
    /// Waits for news, or for a connection that may have missed some.
    pub(super) async fn next(&mut self) {
        let heard = match &mut self.listener {
            Some(listener) => listener.try_recv().await.map(drop),
            None => self.connect().await,
        };
        if let Err(error) = heard {
            tracing::debug!(channel = self.channel, %error, "cannot listen; trying again");
            self.listener = None;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connect(&mut self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(self.channel).await?;
        self.listener = Some(listener);
        Ok(())
    }
}
