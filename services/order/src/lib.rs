//! The order-service of the reference system: orders over REST.
//!
//! `domain` holds the rules and the ports, `store` keeps orders in SQLite or PostgreSQL, `peers`
//! asks the other services, `api` speaks to clients. The domain knows none of the others.

pub mod domain;

pub mod store;

pub mod peers;

pub mod api;

pub mod settings;

pub mod settlement;

use std::sync::Arc;

use regatta::Service;

use settings::SettlementSettings;

/// Opens the service's database, finds its peers, adds what it serves, and starts the task that goes
/// on with pending orders.
///
/// # Errors
///
/// [`regatta::Error`] when a setting is wrong or the schema does not fit.
///
/// # Cancel safety
///
/// Cancel safe: the schema is brought up whole or not at all.
pub async fn assemble(service: Service, settings: &SettlementSettings) -> regatta::Result<Service> {
    let database = service.database()?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let desk = domain::Desk::new(
        store::orders(&database),
        Arc::new(peers::UserService::new(service.channel("user-service")?)),
        Arc::new(peers::PaymentService::new(service.client("payment-service")?)),
    );
    let auth = &service.settings().auth;
    let deputy = auth.secret.as_ref().and_then(|secret| {
        let (issuer, audience) = (auth.issuer.as_deref(), auth.audience.as_deref());
        // Settings that were loaded hold no secret that is too short.
        peers::TokenDeputy::try_new(secret, issuer, audience).ok()
    });
    match deputy {
        Some(deputy) => {
            let sweep = domain::Sweep::new(desk.clone(), Arc::new(deputy));
            let settings = settings.clone();
            let task = |drain| settlement::run(sweep, settings, drain);
            service.tasks().spawn("settlement", task);
        }
        None => regatta::tracing::warn!(
            "without auth.secret orders that stay pending wait for their client; set it to have them \
             finished"
        ),
    }
    let routes = api::rest::routes(desk, &service.auth()?);
    Ok(service.version(env!("CARGO_PKG_VERSION")).rest(routes))
}
