//! The state of one called service: its instances and what is known of each.
//!
//! A [`Cluster`] is shared by all callers of a service in a process, the client's and the gateway's
//! alike. It takes over each new set of instances ([`Cluster::replace`]), picks one for a call
//! ([`Cluster::pick`]) and learns from how the call ended ([`Picked::finish`]). `T` is what the
//! caller hangs on an instance, such as its pool of connections; it is made once for each.
//!
//! ```
//! use std::time::Duration;
//! use regatta_core::Instance;
//! use regatta_traffic::cluster::{Cluster, Hints, Outcome, Policies, Tried};
//!
//! # #[expect(clippy::disallowed_methods, reason = "an example outside a runtime")]
//! let now = std::time::Instant::now();
//! let cluster = Cluster::try_new("user-service".parse()?, Policies::default(), now, 7)?;
//! let instance = Instance::new("user-service".parse()?, "127.0.0.1:8080".parse()?);
//! cluster.replace(now, [instance], |instance| instance.endpoint.to_string());
//!
//! let picked = cluster.pick(now, 42, &Tried::default(), &Hints::default())?;
//! assert_eq!(picked.data(), "127.0.0.1:8080");
//! picked.finish(now, Outcome::Success, Duration::from_millis(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A pick reads a snapshot that is replaced whole. What is out, because its breaker is open or it
//! was ejected, is a bit in the snapshot; changes of health are rare and go under one lock, which
//! also knows when something is due next. Nothing here has a clock or a task: what is due is done by
//! the next call that comes.

mod slow_start;
pub use slow_start::SlowStart;

mod policies;
pub use policies::{InvalidPolicies, Policies};

mod hints;
pub use hints::{Hints, Tried};

mod error;
pub use error::PickError;

mod event;
pub use event::{EjectionCause, Event, Observer, What};

mod member;
pub use member::Member;

mod handle;
pub use handle::{Cluster, Replaced, UnknownInstance};

mod picked;
pub use picked::{Effect, Picked};

mod view;
pub use view::{BreakerView, InstanceView, SubsetView, View};

mod announce;
mod bits;
mod choose;
mod control;
mod dice;
mod load;
mod out;
mod pick;
mod pool;
mod shared;
mod snapshot;
mod zone;

pub use regatta_resilience::breaker::{Outcome, Override, State};
