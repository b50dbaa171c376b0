//! Takes single instances out that do worse than their peers.
//!
//! A breaker asks whether an instance fails; outlier detection asks whether it fails *more than the
//! others*, and takes it out for a time that grows with each ejection. Never more than a share of
//! the instances are out, and when too few are left, all are used again: a fault that all share is
//! none of a single instance. Pure rules; whoever holds the instances applies them.

mod settings;
pub use settings::{InvalidSettings, Settings, SuccessRate};

mod tally;
pub use tally::Tally;

mod record;
pub use record::Record;

mod rules;
pub use rules::{Peer, in_panic, laggards, may_eject};
