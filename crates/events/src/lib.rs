//! Events between services: CloudEvents, the port `EventBus`, a bus in memory.
//!
//! A [`CloudEvent`] says what happened. Who publishes it hands it to an [`EventBus`]; who wants it
//! subscribes as a *consumer group*: each group gets each event at least once, each event goes to
//! one subscriber of the group at a time, and events of one `partitionkey` come in their order. A
//! delivery that is not acknowledged comes again, later and later, and in the end becomes a
//! [`DeadLetter`] that tells why.
//!
//! ```
//! use regatta_events::{CloudEvent, EventBus, GroupName, MemoryBus, Start, Subscription};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let bus = MemoryBus::default();
//! let event = CloudEvent::try_new("1f0b", "/user-service", "user.created")?
//!     .with_json(serde_json::json!({ "user_id": 1 }));
//! bus.publish(&[event]).await?;
//!
//! let mut welcome = Subscription::new(GroupName::try_new("welcome-mail")?);
//! welcome.start = Start::Beginning;
//! let mut deliveries = bus.subscribe(welcome).await?;
//! let delivery = deliveries.next().await?;
//! assert_eq!(delivery.event().event_type(), "user.created");
//! delivery.ack().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | feature | effect | default |
//! |---|---|---|
//! | `conformance` | the checks every backend must pass | off |
//!
//! What it does not do: no exactly-once delivery (nobody can); a consumer that keeps an inbox in the
//! transaction of its effect has each effect once. No order across partition keys.

mod event;
pub use event::{CloudEvent, Data, Extension, InvalidEvent};

mod codec;
pub use codec::{BinaryMessage, DecodeError, JSON_CONTENT_TYPE};

mod filter;
pub use filter::{InvalidPattern, TypeFilter};

mod group;
pub use group::{GroupName, InvalidGroup};

mod standing;
pub use standing::GroupStanding;

mod subscription;
pub use subscription::{InvalidSubscription, Next, Start, Subscription};

mod bus;
pub use bus::{BusError, DeadLetter, EventBus, FailedDelivery, HistoryQuery, Logged, Redrive};

mod delivery;
pub use delivery::{Deliveries, Delivery, Settle, Verdict};

mod in_flight;
pub use in_flight::InFlight;

mod away;

mod consumer;
pub use consumer::{Consumer, Failure, Handler};

mod handler_fn;
pub use handler_fn::{HandlerFn, handler};

mod memory;
pub use memory::MemoryBus;

#[cfg(feature = "conformance")]
pub mod conformance;
