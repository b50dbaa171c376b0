//! Payments: what they are, what happens to them, and when they are declined.

mod amount;
pub use amount::{Amount, InvalidAmount};

mod id;
pub use id::{InvalidId, OrderId, PaymentId};

mod payment;
pub use payment::{
    Outcome, Payment, PaymentCommand, PaymentError, PaymentEvent, PaymentState, Wish,
};

mod payments;
pub use payments::{Error, Payments};
