//! Who a client is, and how its calls are counted.
//!
//! One rule for the gateway and for services: a client is what it says it is, or where it comes from
//! ([`Key`]), and where it comes from is told by hops that are trusted ([`client_address`]).

mod network;
pub use network::{InvalidNetwork, Network};

mod address;
pub use address::client_address;

mod key;
pub use key::Key;

mod counter;
pub use counter::{Counter, Counting, OnOutage};
