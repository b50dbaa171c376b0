//! The user-service of the reference system.

use regatta_proto::userservice::FILE_DESCRIPTOR_SET;
use user_service::{api, store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> regatta::Result {
    let service = regatta::Service::new("user-service").await?.version(env!("CARGO_PKG_VERSION"));
    let database = service.database()?;
    service.migrate(&database, store::MIGRATIONS).await?;
    let users = store::users(&database);
    let routes = api::rest::routes(users.clone(), &service.auth()?);
    service
        .rest(routes)
        .grpc(api::grpc::server(users))
        .reflection(FILE_DESCRIPTOR_SET)
        .run()
        .await
}
