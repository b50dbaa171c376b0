//! Stops calling a dependency that keeps failing, and tries it again later.
//!
//! The breaker is *closed* while calls succeed, *open* after `failure_threshold` failures in a row,
//! and *half-open* while a bounded number of probes decide between the two (Nygard, *Release It!*,
//! 2nd ed., ch. 5). Wrap a [`tower_service::Service`] in a [`BreakerLayer`], or hold a [`Breaker`]
//! and ask it for a [`Permit`] before each call.

mod settings;
pub use settings::{InvalidSettings, Settings};

mod state;
pub use state::{Change, Outcome, State};

mod error;
pub use error::BreakerOpen;

mod handle;
pub use handle::{Breaker, Observer, Permit};

mod layer;
pub use layer::{BreakerLayer, Classify};

mod service;
pub use service::{BreakerService, ResponseFuture};
