//! The order-service of the reference system: orders over REST, their payment by events.
//!
//! `domain` holds the rules and the ports, `store` keeps orders as events in SQLite or PostgreSQL,
//! `peers` asks the user-service, `api` speaks to clients and to other services. The domain knows
//! none of the others.

pub mod domain;

pub mod store;

pub mod peers;

pub mod api;

pub mod settings;

pub mod expiry;

pub mod listener;

use std::sync::Arc;
use std::time::Duration;

use regatta::Service;
use regatta::events::{GroupName, Start, Subscription};

use settings::SagaSettings;

/// Opens the service's database and event store, finds its peers, adds what it serves, and starts
/// its part of the saga: messages out, messages in, and the clock of orders that nobody pays.
///
/// # Errors
///
/// [`regatta::Error`] when a setting is wrong or the schema does not fit.
///
/// # Cancel safety
///
/// Cancel safe: the schema is brought up whole or not at all.
pub async fn assemble(service: Service, settings: &SagaSettings) -> regatta::Result<Service> {
    let database = service.database()?;
    let events = service.events()?;
    let store = service.event_store(&database).await?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let group = GroupName::try_new("order-service").map_err(regatta::Error::own)?;
    let orders = store::EventedOrders::new(&database, &store, group.clone(), api::messages::of);

    service.project(&store, store::OrderList);
    events.relay(&store);
    let mut hears = Subscription::new(group);
    hears.types = api::messages::heard();
    // What was told before this service ran for the first time concerns it too.
    hears.start = Start::Beginning;
    // A message takes one short transaction; those of a killed process come again after this.
    hears.lease = Duration::from_secs(10);
    // What cannot be is rejected at once, and a database that is away does not count: what is left is a
    // process that is killed, or a database that hangs, each time for a lease.
    hears.max_deliveries = 200;
    events.consume(hears, listener::Listener::new(orders.clone()));

    let orders: Arc<dyn domain::Orders> = Arc::new(orders);
    let within = settings.payment_within.try_into().map_err(regatta::Error::own)?;
    let expiry = domain::Expiry::new(orders.clone(), within);
    service.tasks().spawn("expiry", |drain| expiry::run(expiry, drain));
    let users = Arc::new(peers::UserService::new(service.channel("user-service")?));
    let desk = domain::Desk::new(orders, users, within);
    let routes = api::rest::routes(desk, &service.auth()?);
    Ok(service.version(env!("CARGO_PKG_VERSION")).rest(routes))
}
