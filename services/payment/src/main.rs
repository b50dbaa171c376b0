//! The payment-service of the reference system.

use payment_service::settings::PaymentSettings;
use payment_service::{api, store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let opening = regatta::Service::with_settings::<PaymentSettings>("payment-service");
    let (service, settings) = opening.await?;
    let service = service.version(env!("CARGO_PKG_VERSION"));
    let database = service.database()?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let routes = api::rest::routes(store::payments(&database), settings.limit, &service.auth()?);
    service.rest(routes).run().await
}
