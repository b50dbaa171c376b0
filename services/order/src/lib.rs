//! The order-service of the reference system: orders over REST.
//!
//! `domain` holds the rules and the ports, `store` keeps orders in SQLite or PostgreSQL, `peers`
//! asks the other services, `api` speaks to clients. The domain knows none of the others.

pub mod domain;

pub mod store;

pub mod peers;

pub mod api;

use std::sync::Arc;

use regatta::Service;

/// Opens the service's database, finds its peers and adds what it serves.
///
/// # Errors
///
/// [`regatta::Error`] when a setting is wrong or the schema does not fit.
///
/// # Cancel safety
///
/// Cancel safe: the schema is brought up whole or not at all.
pub async fn assemble(service: Service) -> regatta::Result<Service> {
    let database = service.database()?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let desk = domain::Desk::new(
        store::orders(&database),
        Arc::new(peers::UserService::new(service.channel("user-service")?)),
        Arc::new(peers::PaymentService::new(service.client("payment-service")?)),
    );
    let routes = api::rest::routes(desk, &service.auth()?);
    Ok(service.version(env!("CARGO_PKG_VERSION")).rest(routes))
}
