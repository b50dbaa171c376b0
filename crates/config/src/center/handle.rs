//! The config center as a service uses it: get, set, watch by callback.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{CenterError, Change, ConfigCenter, Expected, Follower, Heard, Known, Rhythm, Which};

/// The config center as a service uses it; cheap to clone, and clones share their watches.
///
/// ```
/// use std::sync::Arc;
/// use regatta_config::center::{Center, MemoryCenter};
/// use tokio_util::{sync::CancellationToken, task::TaskTracker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), regatta_config::center::CenterError> {
/// let center = Arc::new(MemoryCenter::new());
/// let center = Center::new(center, TaskTracker::new(), CancellationToken::new());
/// assert_eq!(center.get("/shop/greeting").await?, None);
/// center.set("/shop/greeting", "hello").await?;
/// let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
/// center.watch("/shop/greeting", move |change| drop(tell.send(change)))?;
/// assert_eq!(told.recv().await.unwrap().value().map(|text| &**text), Some("hello"));
/// center.stop_watch("/shop/greeting");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Center {
    center: Arc<dyn ConfigCenter>,
    tasks: TaskTracker,
    drain: CancellationToken,
    watches: Arc<Mutex<HashMap<String, CancellationToken>>>,
}

impl Center {
    /// Most watches at once: each holds a stream open.
    pub const MOST_WATCHES: usize = 1000;

    /// A center; watches run among these tasks until the drain.
    pub fn new(
        center: Arc<dyn ConfigCenter>,
        tasks: TaskTracker,
        drain: CancellationToken,
    ) -> Self {
        Self { center, tasks, drain, watches: Arc::default() }
    }

    /// The port, for all else it can do.
    pub fn port(&self) -> &Arc<dyn ConfigCenter> {
        &self.center
    }

    /// The value of a key; none when it is not there. The key is the whole one, as `etcdctl` has it.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn get(&self, key: &str) -> Result<Option<String>, CenterError> {
        Ok(self.center.get(key).await?.map(|item| item.value.to_string()))
    }

    /// Sets a key, whatever it was, and returns the revision.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::commit`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it may have happened.
    pub async fn set(&self, key: &str, value: &str) -> Result<u64, CenterError> {
        self.center.set(key, value, Expected::Any).await
    }

    /// Deletes a key and says whether it was there.
    ///
    /// # Errors
    ///
    /// As [`ConfigCenter::commit`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: it may have happened.
    pub async fn delete(&self, key: &str) -> Result<bool, CenterError> {
        self.center.delete(key, Expected::Any).await
    }

    /// Calls back with the present value, if there is one, and then with each change, deletions
    /// included, over outages too. A second watch of a key takes the place of the first. Needs the
    /// context of a tokio runtime.
    ///
    /// The callback should return soon: the watch waits for it.
    ///
    /// # Errors
    ///
    /// [`CenterError::Refused`] above [`Center::MOST_WATCHES`].
    pub fn watch(
        &self,
        key: &str,
        mut callback: impl FnMut(Change) + Send + 'static,
    ) -> Result<(), CenterError> {
        let stop = self.drain.child_token();
        let mut watches = self.lock();
        if watches.len() >= Self::MOST_WATCHES && !watches.contains_key(key) {
            let message = format!("{} watches at once are the most", Self::MOST_WATCHES);
            return Err(CenterError::Refused { message });
        }
        if let Some(first) = watches.insert(key.to_owned(), stop.clone()) {
            first.cancel();
        }
        drop(watches);
        let which = Which::Key(key.to_owned());
        let follower = Follower::new(Arc::clone(&self.center), which, Rhythm::default());
        let ended = stop.clone();
        let hear = move |_: &Known, heard: Heard| {
            let Heard::Changes(changes) = heard else { return };
            for change in changes {
                // A watch that was stopped is silent, also half-way through a batch.
                if !ended.is_cancelled() {
                    callback(change);
                }
            }
        };
        self.tasks.spawn(follower.run(stop, hear));
        Ok(())
    }

    /// Ends the watch of a key; one that is not there is no error. The callback is not called any
    /// more, but for a call that has begun.
    pub fn stop_watch(&self, key: &str) {
        if let Some(watch) = self.lock().remove(key) {
            watch.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        // Each change leaves it whole.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Center {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Center").field("center", &self.center).finish_non_exhaustive()
    }
}
