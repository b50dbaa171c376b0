//! Groups `events` and `events.nats`: where the event bus is.

use std::path::PathBuf;

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

settings! {
    /// The event bus where it is NATS.
    pub struct NatsSettings in "events.nats" {
        /// What names the streams and subjects of the bus: all who share it use the same. 1 to 32 of
        /// letters, digits, - and _.
        pub prefix: String = "regatta".to_owned();
        /// On how many servers of a cluster each event is: 1, 3 or 5. It counts when the streams are
        /// made; later nats stream edit changes them. One server answers before its disk has flushed,
        /// so what must outlive the power needs 3.
        pub replicas: u32 = 1;
        /// File with the credentials of a user, as nsc generate creds writes it. Read at start.
        pub credentials: Option<PathBuf>;
        /// PEM file with the certificates of who vouches for the servers; with one, TLS is required.
        pub ca: Option<PathBuf>;
    }
}
