//! How instances share the calls: strategies, turns by weight, owners of keys.

mod strategy;
pub use strategy::{Strategy, UnknownStrategy};

mod key;
pub(crate) use key::mix;
pub use key::{HashOn, InvalidHashOn, hash_key};

mod ring;
pub(crate) use ring::Ring;

mod lots;
pub(crate) use lots::Lots;

mod schedule;
pub use schedule::Schedule;
