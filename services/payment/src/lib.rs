//! The payment-service of the reference system: payments over REST.
//!
//! `domain` holds the rules and the port to the store, `store` keeps payments in SQLite or
//! PostgreSQL, `api` speaks to clients. The domain knows neither of the others.

pub mod domain;

pub mod store;

pub mod api;

pub mod settings;

use regatta::Service;

use settings::PaymentSettings;

/// Opens the service's database and adds what it serves.
///
/// # Errors
///
/// [`regatta::Error`] when a setting is wrong or the schema does not fit.
///
/// # Cancel safety
///
/// Cancel safe: the schema is brought up whole or not at all.
pub async fn assemble(service: Service, settings: &PaymentSettings) -> regatta::Result<Service> {
    let database = service.database()?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let payments = store::payments(&database);
    let routes = api::rest::routes(payments, settings.limit, &service.auth()?);
    Ok(service.version(env!("CARGO_PKG_VERSION")).rest(routes))
}
