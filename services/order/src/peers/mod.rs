//! The other services, as the domain wants them.

mod users;
pub use users::UserService;

mod payments;
pub use payments::PaymentService;

mod deputy;
pub use deputy::TokenDeputy;
