//! The other services, as the domain wants them.

mod users;
pub use users::UserService;
