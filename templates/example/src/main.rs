//! The service example-service.

use regatta::Service;

use example_service::{Settings, assemble};

#[tokio::main]
async fn main() -> regatta::Result {
    let (service, settings) = Service::with_settings::<Settings>("example-service").await?;
    assemble(service, &settings).run().await
}
