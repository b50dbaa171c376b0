//! Changes of the center as they come.

use std::sync::Arc;

use regatta_config::center::{Freshness, Known, Mirror, MirrorHandle, Rhythm, View};

use super::{Found, Opened};
use crate::tasks::Tasks;

/// The two prefixes of a service, followed.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    shared: MirrorHandle,
    own: MirrorHandle,
}

impl Feed {
    /// Follows both among these tasks, from what is known.
    pub(crate) fn start(opened: &Opened, tasks: &Tasks) -> Self {
        let begin = |prefix: String, known: &Known| {
            let center = Arc::clone(&opened.center);
            let mirror = Mirror::new(center, prefix, Rhythm::default(), known.clone());
            let handle = mirror.handle();
            tasks.spawn("config center", |drain| mirror.run(drain));
            handle
        };
        let own = opened.layout.service(opened.service.as_str());
        Self {
            shared: begin(opened.layout.shared(), &opened.begin.shared),
            own: begin(own, &opened.begin.own),
        }
    }

    /// What is known now.
    pub(crate) fn current(&self) -> Found {
        let known =
            |view: Arc<View>| Known::from_items(view.items.values().cloned(), view.revision);
        Found { shared: known(self.shared.current()), own: known(self.own.current()) }
    }

    /// Waits for news, also that the center is away.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            _ = self.shared.changed() => (),
            _ = self.own.changed() => (),
        }
    }

    /// Why the center cannot be heard; none when it can.
    pub(crate) fn away(&self) -> Option<String> {
        [&self.shared, &self.own].into_iter().find_map(|handle| match &handle.current().freshness {
            Freshness::Fresh => None,
            Freshness::Unknown => Some("it has not answered yet".to_owned()),
            Freshness::Stale { reason } => Some(format!("the last known settings hold: {reason}")),
        })
    }
}
