//! An event bus on NATS JetStream.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use regatta_events::{CloudEvent, EventBus};
//! use regatta_events_nats::{NatsBus, Options};
//!
//! let bus = NatsBus::try_new(Options::new("nats://127.0.0.1:4222"))?;
//! bus.publish(&[CloudEvent::try_new("1f0b", "/user-service", "user.created")?]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is in NATS
//!
//! - The stream `regatta_events`: each event a message in CloudEvents' JSON, under
//!   `regatta.events.` and its type. Any client reads it.
//! - The stream `regatta_groups`: the state of each consumer group, changed by comparing and setting.
//!   JetStream's own consumers cannot keep one event of a key out at a time while others go on.
//! - The stream `regatta_letters`: what is known of events that failed; the dead letters.
//!
//! # What holds
//!
//! What `publish` has returned for is in the stream's file, also after a crash of the server; an
//! outage of the power needs [`Options::replicas`]. A batch that fails may have been taken in part:
//! publish it again, and each event is there once, those of a partition key in their order. For that
//! an event is sent once the one before it with the same key is acknowledged, so a batch of one key
//! costs a round trip an event; others are sent without waiting, 1024 at a time. Events are kept for seven days at
//! least, and as long as a group needs them. Leases and pauses are counted by each process from when
//! it first saw them, so clocks need not agree; a lease of a process that died costs the next one up
//! to twice its length.
//!
//! While the server is away calls fail as unavailable after [`Options::timeout`], and the connection
//! heals by itself.

mod options;
pub use options::{InvalidOptions, Options};

mod bus;
pub use bus::NatsBus;

mod deliveries;

mod orders;

mod member;

mod ahead;

mod group;

mod seen;

mod states;

mod letters;

mod log;

mod window;

mod link;

mod subject;
