//! The payment-service of the reference system: payments by events, shown over REST.
//!
//! `domain` holds the rules and the port to the store, `store` keeps payments as events in SQLite or
//! PostgreSQL, `api` speaks to clients and to other services. The domain knows neither of the others.

pub mod domain;

pub mod store;

pub mod api;

pub mod settings;

pub mod listener;

use std::sync::Arc;
use std::time::Duration;

use regatta::Service;
use regatta::events::{GroupName, Start, Subscription};

use settings::PaymentSettings;

/// Opens the service's database and event store, adds what it serves, and starts its part of the
/// saga: messages in, messages out.
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
    let events = service.events()?;
    let store = service.event_store(&database).await?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let group = GroupName::try_new("payment-service").map_err(regatta::Error::own)?;
    let payments = store::EventedPayments::new(&database, &store, group.clone(), api::messages::of);

    events.relay(&store);
    let mut hears = Subscription::new(group);
    hears.types = api::messages::heard();
    // Orders that were placed before this service ran for the first time are paid too.
    hears.start = Start::Beginning;
    // A message takes one short transaction; those of a killed process come again after this.
    hears.lease = Duration::from_secs(10);
    // What cannot be is rejected at once, and a database that is away does not count: what is left is a
    // process that is killed, or a database that hangs, each time for a lease.
    hears.max_deliveries = 200;
    events.consume(hears, listener::Listener::new(payments.clone(), settings.limit));

    let routes = api::rest::routes(Arc::new(payments), &service.auth()?);
    Ok(service.version(env!("CARGO_PKG_VERSION")).rest(routes))
}
