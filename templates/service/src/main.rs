//! The service {{name}}.

use regatta::Service;

use {{crate}}::{Settings, assemble};

#[tokio::main]
async fn main() -> regatta::Result {
    let (service, settings) = Service::with_settings::<Settings>("{{name}}").await?;
    assemble(service, &settings).run().await
}
