//! The order-service of the reference system.

use order_service::settings::SagaSettings;
use regatta::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let opening = Service::with_settings::<SagaSettings>("order-service");
    let (service, settings) = opening.await?;
    order_service::assemble(service, &settings).await?.run().await
}
