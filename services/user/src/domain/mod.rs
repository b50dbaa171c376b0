//! Users: what they are and what must hold for them.

mod id;
pub use id::{InvalidId, UserId};

mod name;
pub use name::{InvalidName, Name};

mod email;
pub use email::{Email, InvalidEmail};

mod user;
pub use user::{Change, NewUser, User};

mod event;
pub use event::UserEvent;

mod users;
pub use users::{Error, PageSize, Users};
