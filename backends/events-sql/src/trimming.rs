//! Lets go of what is old, in a task of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use regatta_database::Database;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::engine::length;
use crate::log;

/// How long an event stays in the log at least, for history and replays.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How often a process looks for older ones.
const EVERY: Duration = Duration::from_secs(600);
/// How many are let go at a time, and the pause after it, in which others may write.
pub(crate) const SLICE: i64 = 1000;
const PAUSE: Duration = Duration::from_millis(100);

/// The task of a bus and its clones; it ends with the last of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trimming {
    end: Arc<OnceLock<DropGuard>>,
}

impl Trimming {
    /// Starts it unless it runs.
    pub(crate) fn start(&self, database: &Database, tasks: &TaskTracker) {
        self.end.get_or_init(|| {
            let end = CancellationToken::new();
            let (database, ended) = (database.clone(), end.clone());
            tasks.spawn(async move { ended.run_until_cancelled(run(&database)).await });
            end.drop_guard()
        });
    }
}

async fn run(database: &Database) {
    loop {
        // The query's span and metric tell of a failure, which waits for the next time.
        while log::trim(database, length(KEPT), SLICE).await.is_ok_and(is_whole) {
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether there may be more behind a slice of so many.
fn is_whole(gone: u64) -> bool {
    gone >= SLICE.unsigned_abs()
}
