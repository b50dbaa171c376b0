//! Counts over the last seconds, cheap enough for every call.

mod ring;
pub(crate) use ring::{Ring, nanos};

mod origin;
pub(crate) use origin::Origin;

mod tally;
pub(crate) use tally::Tally;
