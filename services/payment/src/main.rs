//! The payment-service of the reference system.

use payment_service::settings::PaymentSettings;
use regatta::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let opening = Service::with_settings::<PaymentSettings>("payment-service");
    let (service, settings) = opening.await?;
    payment_service::assemble(service, &settings).await?.run().await
}
