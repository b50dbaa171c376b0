//! The order-service of the reference system.

use order_service::settings::SettlementSettings;
use regatta::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let opening = Service::with_settings::<SettlementSettings>("order-service");
    let (service, settings) = opening.await?;
    order_service::assemble(service, &settings).await?.run().await
}
