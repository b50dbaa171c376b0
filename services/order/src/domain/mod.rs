//! Orders: what they are, what happens to them, and how one is placed once.

mod id;
pub use id::{InvalidId, OrderId, UserId};

mod amount;
pub use amount::{Amount, InvalidAmount};

mod key;
pub use key::{IdempotencyKey, InvalidKey};

mod order;
pub use order::{NewOrder, Order, Refund, Status, Terms};

mod event;
pub use event::OrderEvent;

mod saga;
pub use saga::{OrderCommand, OrderError, OrderState, from_micros, micros};

mod orders;
pub use orders::{Begun, Due, Error, Listing, Orders};

mod directory;
pub use directory::{Directory, PeerError};

mod desk;
pub use desk::{Desk, PlaceError, Wish};

mod expiry;
pub use expiry::{Expiry, Round};
