//! Payments: what they are and when they are declined.

mod amount;
pub use amount::{Amount, InvalidAmount};

mod id;
pub use id::{InvalidId, OrderId, PaymentId};

mod key;
pub use key::{IdempotencyKey, InvalidKey};

mod payment;
pub use payment::{NewPayment, Outcome, Payment, decide};

mod payments;
pub use payments::{Error, Payments, Recorded};
