//! Group `events`: where the event bus is.

use regatta_config::settings;
use regatta_core::Secret;

settings! {
    /// Where events between services are kept.
    pub struct EventsSettings in "events" {
        /// sqlite:///path/events.db (shared by the processes of one machine), postgres://…,
        /// nats://host:4222 (in programs built with the feature nats), or memory: (this process
        /// alone). Not set: sqlite://.regatta/data/events/events.db.
        pub url: Option<Secret>, env "EVENTS_URL";
    }
}
