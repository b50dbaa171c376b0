//! The last known state of a prefix, kept beside the center.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ConfigCenter, Follower, Heard, Item, Known, Rhythm, Which};

/// Whether what is known is what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// The center has not answered yet.
    #[default]
    Unknown,
    /// Changes are heard as they happen.
    Fresh,
    /// The center is away; this is what was known last.
    Stale {
        /// Why.
        reason: String,
    },
}

/// What is known of a prefix now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// All items by their keys.
    pub items: BTreeMap<Arc<str>, Item>,
    /// The revision that all of it is of; 0 when nothing was ever heard.
    pub revision: u64,
    /// Whether it is what there is.
    pub freshness: Freshness,
}

/// Keeps the state of a prefix; it is read by its [`MirrorHandle`].
#[derive(Debug)]
#[must_use = "it hears nothing until `run`"]
pub struct Mirror {
    follower: Follower,
    view: watch::Sender<Arc<View>>,
}

/// Reads what a [`Mirror`] keeps; cheap to clone, and a clone sees changes on its own.
#[derive(Clone, Debug)]
pub struct MirrorHandle {
    view: watch::Receiver<Arc<View>>,
}

impl Mirror {
    /// Keeps all keys that begin so; `known` is what is known of them already.
    pub fn new(
        center: Arc<dyn ConfigCenter>,
        prefix: impl Into<String>,
        rhythm: Rhythm,
        known: Known,
    ) -> Self {
        let view = View::of(&known, Freshness::Unknown);
        let follower =
            Follower::new(center, Which::Prefix(prefix.into()), rhythm).from_known(known);
        Self { follower, view: watch::Sender::new(Arc::new(view)) }
    }

    /// Reads what it keeps.
    pub fn handle(&self) -> MirrorHandle {
        MirrorHandle { view: self.view.subscribe() }
    }

    /// Keeps it until the drain.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is known stays readable.
    pub async fn run(self, drain: CancellationToken) {
        let view = self.view;
        let hear = |known: &Known, heard: Heard| match heard {
            Heard::Changes(_) => {
                view.send_replace(Arc::new(View::of(known, Freshness::Fresh)));
            }
            Heard::Away(reason) => {
                view.send_modify(|view| {
                    let view = Arc::make_mut(view);
                    view.freshness = Freshness::Stale { reason };
                });
            }
        };
        self.follower.run(drain, hear).await;
    }
}

impl View {
    fn of(known: &Known, freshness: Freshness) -> Self {
        Self { items: known.items().clone(), revision: known.revision(), freshness }
    }
}

impl MirrorHandle {
    /// What is known now.
    pub fn current(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Waits for a view that was not returned from here before; for ever when the mirror has ended.
    /// Several changes in a row may be seen as one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a change is not lost by dropping the future.
    pub async fn changed(&mut self) -> Arc<View> {
        if self.view.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.view.borrow_and_update().clone()
    }
}
