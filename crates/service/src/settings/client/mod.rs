//! Group `client`: calls to other services.

mod settings;
pub use settings::{ClientSettings, ServiceCallSettings, Strategy};

mod failure_on;
pub use failure_on::FailureCondition;

mod services;
pub use services::ServicesSettings;

mod policies;
