//! Group `client`: calls to other services.

mod settings;
pub use settings::{ClientSettings, ServiceCallSettings, Strategy};

mod services;
pub use services::ServicesSettings;

mod policies;
