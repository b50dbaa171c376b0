//! example-service: its settings, and what it serves.

pub mod api;

use regatta::Service;

regatta::settings! {
    /// What an operator may set about example-service, in the group `hello` of its configuration.
    pub struct Settings in "hello" {
        /// The word that greets, such as Hello; HELLO__GREETING sets it too.
        pub greeting: String = "Hello".to_owned();
    }
}

/// Adds what this service serves.
pub fn assemble(service: Service, settings: &Settings) -> Service {
    service.version(env!("CARGO_PKG_VERSION")).rest(api::routes(settings))
}
