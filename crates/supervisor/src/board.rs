//! The present state of all parts, and everyone who waits for a change of it.

use tokio::sync::{broadcast, watch};

use crate::clock;
use crate::event::Event;
use crate::state::{PartState, PartStatus, State};

/// Holds the state; each change is told as an event. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    state: watch::Sender<State>,
    events: broadcast::Sender<Event>,
}

impl Board {
    pub(crate) fn new(state: State, events: broadcast::Sender<Event>) -> Self {
        Self { state: watch::Sender::new(state), events }
    }

    /// Changes one part.
    pub(crate) fn update(&self, part: &str, change: impl FnOnce(&mut PartStatus)) {
        self.state.send_if_modified(|state| {
            let found = state.parts.iter_mut().find(|status| status.name == part);
            let Some(status) = found else { return false };
            let before = status.clone();
            change(status);
            if *status == before {
                return false;
            }
            if status.state != before.state {
                status.since = clock::wall_text();
            }
            // Nobody listening is no error.
            let _nobody = self.events.send(Event::Part(status.clone()));
            true
        });
    }

    /// Tells what went wrong.
    pub(crate) fn warn(&self, message: String) {
        let _nobody = self.events.send(Event::Warning { message });
    }

    /// The state now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Sees every later state, or the last of several.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Waits until all parts of these services are ready.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn until_ready(&self, services: &[String]) {
        let ready = |status: &PartStatus| status.state == PartState::Ready;
        let met =
            |state: &State| state.parts.iter().filter(|s| services.contains(&s.service)).all(ready);
        // The sender lives in `self`, so that waiting cannot fail.
        let mut watch = self.watch();
        let _state = watch.wait_for(met).await;
    }

    /// Waits until every part is ready.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn until_all_ready(&self) {
        let all: Vec<String> =
            self.state.borrow().parts.iter().map(|s| s.service.clone()).collect();
        self.until_ready(&all).await;
    }
}
