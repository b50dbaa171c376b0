//! The order-service of the reference system.

use std::sync::Arc;

use order_service::domain::Desk;
use order_service::peers::{PaymentService, UserService};
use order_service::{api, store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let service = regatta::Service::new("order-service").await?.version(env!("CARGO_PKG_VERSION"));
    let database = service.database()?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let desk = Desk::new(
        store::orders(&database),
        Arc::new(UserService::new(service.channel("user-service")?)),
        Arc::new(PaymentService::new(service.client("payment-service")?)),
    );
    let routes = api::rest::routes(desk, &service.auth()?);
    service.rest(routes).run().await
}
