//! The user-service of the reference system.

use regatta::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let service = Service::new("user-service").await?;
    user_service::assemble(service).await?.run().await
}
