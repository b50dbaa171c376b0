//! Event sourcing: what happened is kept, and everything else follows from it.
//!
//! An [`Aggregate`] decides on commands and is the fold of its events. A [`Repository`] loads it
//! from an [`EventStore`], lets it decide, appends what it decided if nobody was faster, and starts
//! over if somebody was. The same append may put messages into the [`Outbox`], which a [`Relay`]
//! publishes. A [`Projection`] folds events into a table to query; a [`Follower`] does something for
//! each event. [`given`] tests an aggregate without any of these.
//!
//! ```
//! use std::sync::Arc;
//!
//! use regatta_eventstore::{Aggregate, Cause, DomainEvent, MemoryStore, Repository};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Default)]
//! struct Account { balance: i64 }
//!
//! #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
//! #[serde(tag = "type", content = "data")]
//! enum Event { Deposited { amount: i64 }, Withdrawn { amount: i64 } }
//! impl DomainEvent for Event {}
//!
//! enum Command { Deposit(i64), Withdraw(i64) }
//!
//! #[derive(Debug, PartialEq, thiserror::Error)]
//! #[error("the account holds {0} only")]
//! struct TooLittle(i64);
//!
//! impl Aggregate for Account {
//!     const CATEGORY: &'static str = "account";
//!     type Event = Event;
//!     type Command = Command;
//!     type Error = TooLittle;
//!
//!     fn apply(&mut self, event: &Event) {
//!         match event {
//!             Event::Deposited { amount } => self.balance += amount,
//!             Event::Withdrawn { amount } => self.balance -= amount,
//!         }
//!     }
//!
//!     fn handle(&self, command: &Command) -> Result<Vec<Event>, TooLittle> {
//!         match *command {
//!             Command::Deposit(amount) => Ok(vec![Event::Deposited { amount }]),
//!             Command::Withdraw(amount) if amount > self.balance => Err(TooLittle(self.balance)),
//!             Command::Withdraw(amount) => Ok(vec![Event::Withdrawn { amount }]),
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let accounts = Repository::<Account>::new(Arc::new(MemoryStore::default()));
//! accounts.execute("7", &Command::Deposit(50), &Cause::default()).await?;
//! let done = accounts.execute("7", &Command::Withdraw(20), &Cause::default()).await?;
//! assert_eq!((done.aggregate.balance, done.version.get()), (30, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | feature | effect | default |
//! |---|---|---|
//! | `conformance` | the checks every backend must pass | off |
//!
//! What it does not do: no query over events, no order between stores, no erasing of what has left
//! the store.

mod stream;
pub use stream::{InvalidStream, StreamId};

mod position;
pub use position::{Expected, Position, Version};

mod event;
pub use event::{Metadata, NewEvent, Personal, Privacy, Recorded};

mod privacy;
pub use privacy::{InvalidSubject, SealBroken, SubjectId, SubjectKey};

mod filter;
pub use filter::Filter;

mod store;
pub use store::{
    Append, AppendError, Appended, EventStore, InvalidAppend, Page, Range, Snapshot, StoreError,
    StreamInfo, Until,
};

mod upcast;
pub use upcast::{UpcastError, Upcasters};

mod aggregate;
pub use aggregate::{Aggregate, DomainEvent, PersonalMembers};

mod codec;
pub use codec::{DecodeError, EncodeError, decode, encode};

mod repository;
pub use repository::{
    Cause, Decision, ExecuteError, Executed, LoadError, Loaded, Publisher, Repository, Retries,
};

mod scenario;
pub use scenario::{Given, Then, given};

mod backoff;

mod follower;
pub use follower::{Follow, Follower};

mod projection;
pub use projection::{
    Build, Effects, Overtaken, Projection, ProjectionError, ProjectionStore, Projector, Stage, Step,
};

mod outbox;
pub use outbox::{InvalidRelay, Outbox, Queued, Relay, RelaySettings};

mod memory;
pub use memory::MemoryStore;

#[cfg(feature = "conformance")]
pub mod conformance;
