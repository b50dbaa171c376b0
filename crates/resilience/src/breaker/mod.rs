//! Stops calling a dependency that keeps failing, and tries it again later.
//!
//! The breaker is *closed* while calls succeed, *open* after too many failures in a row or too large
//! a share of failures (or of slow calls, if asked), and *half-open* while a bounded number of
//! probes decide between the two (Nygard, *Release It!*, 2nd ed., ch. 5). An operator may force it
//! either way. Wrap a [`tower_service::Service`] in a [`BreakerLayer`], or hold a [`Breaker`]
//! and ask it for a [`Permit`] before each call; who holds many of them, each inside a value of its
//! own, holds [`Circuit`]s.

mod settings;
pub use settings::{InvalidSettings, Settings, SlowCalls};

mod change;
pub use change::{Cause, Change, Override, State, Status, UnknownOverride};

mod state;
pub use state::Outcome;

mod error;
pub use error::BreakerOpen;

mod admission;
pub use admission::Admission;

mod circuit;
pub use circuit::Circuit;

mod handle;
pub use handle::{Breaker, Observer, Permit};

mod layer;
pub use layer::{BreakerLayer, Classify};

mod service;
pub use service::{BreakerService, ResponseFuture};
