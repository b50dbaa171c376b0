//! Repeats a call where that is safe, rarely enough.
//!
//! Three rules that know neither HTTP nor a clock: [`Policy`] says whether and when, [`Backoff`]
//! how long to wait, and a [`Budget`] per target how often at most. A maximum number of tries alone
//! multiplies the load of a struggling service by that number, just when it can bear it least; a
//! budget adds a share.

mod backoff;
pub use backoff::{Backoff, InvalidBackoff};

mod budget;
pub use budget::{Budget, InvalidBudget, Withdrawal};

mod policy;
pub use policy::{Attempt, Decision, Failure, Policy, Stop};
