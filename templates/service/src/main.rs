//! The service {{name}}.

#[tokio::main]
async fn main() -> regatta::Result {
    let (service, settings) =
        regatta::Service::with_settings::<{{crate}}::Settings>("{{name}}").await?;
    {{crate}}::assemble(service, &settings).run().await
}
