//! Orders: what they are, and how one is placed so that it is paid once.

mod id;
pub use id::{InvalidId, OrderId, UserId};

mod amount;
pub use amount::{Amount, InvalidAmount};

mod key;
pub use key::{IdempotencyKey, InvalidKey};

mod order;
pub use order::{NewOrder, Order, Settlement, Status};

mod orders;
pub use orders::{Begun, Error, Orders};

mod peers;
pub use peers::{Authority, Cashier, Directory, PeerError};

mod desk;
pub use desk::{Desk, PlaceError, Wish};

mod sweep;
pub use sweep::{Deputy, Sweep, Swept};
