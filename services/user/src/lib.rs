//! The user-service of the reference system: users over REST and gRPC.
//!
//! `domain` holds the rules and the port to the store, `store` keeps users in SQLite or PostgreSQL,
//! `api` speaks to clients. The domain knows neither of the others.

pub mod domain;

pub mod store;

pub mod api;

use std::sync::Arc;

use regatta::Service;
use regatta_proto::userservice::FILE_DESCRIPTOR_SET;

/// Opens the service's database and cache, adds what it serves, and tells other services of what
/// happens to users.
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
    let events = service.events()?;
    let outbox = service.event_store(&database).await?;
    service.migrate(&database, store::MIGRATIONS).await?;
    events.relay(&outbox);
    let tell = Arc::new(move |event: &domain::UserEvent| api::messages::of(&events, event));
    let kept = store::users(&database, &outbox, tell);
    let cached = store::CachedUsers::new(kept, service.cache()?);
    let users: Arc<dyn domain::Users> = Arc::new(cached);
    let routes = api::rest::routes(users.clone(), &service.auth()?);
    let service = service.version(env!("CARGO_PKG_VERSION")).rest(routes);
    Ok(service.grpc(api::grpc::server(users)).reflection(FILE_DESCRIPTOR_SET))
}
