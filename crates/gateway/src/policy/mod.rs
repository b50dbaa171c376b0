//! What the gateway decides about a request, as rules without I/O.

pub(crate) mod deadline;
mod denial;
pub(crate) mod forwarded;
pub(crate) mod ids;
pub(crate) use denial::Denial;
mod caller;
pub(crate) use caller::{Authenticator, Caller, Unverified};
mod priority;
pub(crate) use priority::priority;
mod limiter;
pub(crate) use limiter::Limiter;
mod rates;
pub(crate) use rates::{Rate, Rates};
mod rules;
pub(crate) use rules::Rules;
mod decide;
pub(crate) use decide::{
    Health, Lookup, Plan, Request, Settled, Verdict, Wait, decide, whole_seconds,
};
pub(crate) mod number;
