//! The kill matrix: every participant of the saga, killed at every step of it, under load.
//!
//! Real programs, real engines, `kill -9`. What must hold at the end is in [`Verdict`]: it is read
//! where it is kept, in the databases, and not from what a service says of itself.

mod engines;
pub use engines::Engines;

mod ledger;

mod plant;

mod buyers;

mod step;

mod telling;

mod verdict;
pub use verdict::Verdict;

mod matrix;
pub use matrix::{Matrix, Tally};
