//! Does something for each event, once it has happened, and remembers how far it came.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regatta_core::Chain;
use tokio_util::sync::CancellationToken;

use crate::{EventStore, Filter, Position, Recorded, StoreError, backoff};

/// How many events are read at a time, and at most done again after a crash.
const PAGE: u32 = 100;
/// Over how many events that the filter leaves out a checkpoint is moved at the latest: to move it
/// for each would write as much as who appends.
const SKIPPED: u64 = 1000;
/// The longest pause after the first failure, and after any.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to do for each event.
#[async_trait]
pub trait Follow: Send + Sync + 'static {
    /// Does it. After a failure or a crash it is called again for the same event, so what it does
    /// must be safe to repeat. Events come in the order of the store, one at a time.
    ///
    /// # Errors
    ///
    /// Any; the event comes again after a pause, at last every 30 s, and no later one before it.
    ///
    /// # Cancel safety
    ///
    /// It is not dropped half-way unless the follower is.
    async fn follow(&self, event: &Recorded) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A reader of all streams with a checkpoint in the store.
///
/// Of several with one name, in one process or many, each event is done at least once; run one, or
/// accept that all do the same. What must be done once belongs into a [`crate::Projection`] or
/// behind an inbox.
pub struct Follower<F> {
    store: Arc<dyn EventStore>,
    name: String,
    filter: Filter,
    follow: F,
}

impl<F> fmt::Debug for Follower<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F: Follow> Follower<F> {
    /// A follower whose checkpoint has this name. A new one begins with the oldest event.
    pub fn new(
        store: Arc<dyn EventStore>,
        name: impl Into<String>,
        filter: Filter,
        follow: F,
    ) -> Self {
        Self { store, name: name.into(), filter, follow }
    }

    /// Follows until `drain` is cancelled; finishes the event under way and keeps the checkpoint.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it does again what was done since the last checkpoint.
    pub async fn run(self, drain: CancellationToken) {
        let mut failures = 0;
        let mut looked = Position::START;
        while !drain.is_cancelled() {
            let wait = match self.turn(&drain, &mut looked).await {
                Ok(Turn::More) => {
                    failures = 0;
                    continue;
                }
                Ok(Turn::UpToDate(position)) => {
                    failures = 0;
                    Wait::News(position)
                }
                Err(()) => {
                    failures += 1;
                    let random = rand::random();
                    Wait::Pause(backoff::pause(failures, FIRST_PAUSE, LONGEST_PAUSE, random))
                }
            };
            tokio::select! {
                () = drain.cancelled() => (),
                () = self.wait(wait) => (),
            }
        }
    }

    async fn wait(&self, wait: Wait) {
        match wait {
            Wait::News(position) => self.store.wait(position).await,
            Wait::Pause(pause) => tokio::time::sleep(pause).await,
        }
    }

    /// Does one page of events; failures are logged here.
    async fn turn(&self, drain: &CancellationToken, looked: &mut Position) -> Result<Turn, ()> {
        let name = &self.name;
        let broken = |error: StoreError| {
            tracing::warn!(follower = name, error = %Chain(&error), "cannot follow; trying again");
        };
        let from = self.store.checkpoint(name).await.map_err(broken)?;
        let start = from.max(*looked);
        let page = self.store.read_all(start, &self.filter, PAGE).await.map_err(broken)?;
        let mut done = start;
        let mut result = Ok(if page.is_last { Turn::UpToDate(page.next) } else { Turn::More });
        for event in &page.events {
            if drain.is_cancelled() {
                break;
            }
            if let Err(error) = self.follow.follow(event).await {
                let (id, error) = (event.id, Chain(&*error));
                tracing::warn!(follower = name, %id, %error, "event not done; trying again");
                result = Err(());
                break;
            }
            done = event.position;
        }
        if page.events.last().is_none_or(|last| last.position == done) {
            // What comes after the last one was left out by the filter.
            done = page.next;
        }
        *looked = done;
        let is_due = !page.events.is_empty() || done.get() - from.get() >= SKIPPED;
        if is_due
            && done != from
            && !self.store.move_checkpoint(name, from, done).await.map_err(broken)?
        {
            tracing::warn!(follower = name, "another follower of this name moved the checkpoint");
            *looked = Position::START;
        }
        result
    }
}

enum Turn {
    More,
    UpToDate(Position),
}

enum Wait {
    News(Position),
    Pause(Duration),
}
