//! Which instance takes the next call.

mod strategy;
pub use strategy::{Strategy, UnknownStrategy};

mod key;
pub use key::hash_key;

mod schedule;
pub use schedule::Schedule;

mod balancer;
pub use balancer::{Balancer, NoInstance};
