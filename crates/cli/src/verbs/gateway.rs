//! `regatta gateway`: the reverse proxy, as a process of its own.

mod convert;

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use regatta_core::Secret;
use regatta_discovery_consul::{ConsulRegistry, Options};

use crate::failure::Failure;
use crate::system::Place;
use crate::verbs::serving;

/// Runs the gateway under the rules of the manifest.
#[derive(Debug, Args)]
pub(crate) struct Gateway {
    /// Where clients connect. Default: gateway.listen of the manifest.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where metrics and health are served to operators. Default: gateway.admin of the manifest.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Where instances are found. Default: control_plane.listen of the manifest.
    #[arg(long, value_name = "URL", env = "CONSUL_HTTP_ADDR")]
    registry: Option<String>,
}

impl Gateway {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let telemetry = serving::telemetry("gateway")?;
        let (_, manifest) = place.manifest()?;
        let registry =
            self.registry.unwrap_or_else(|| format!("http://{}", manifest.control_plane.listen));
        let discover = ConsulRegistry::try_new(&registry, Options::default())?;
        // From the environment alone: other users of the machine can read arguments.
        let secret = std::env::var("AUTH__SECRET").ok().map(Secret::new);
        let mut settings = convert::settings(&manifest, secret)?;
        settings.listen = self.listen.unwrap_or(settings.listen);
        settings.admin = self.admin.or(settings.admin);
        // Without an endpoint the gateway pays nothing for spans.
        settings.telemetry = telemetry.exports_spans().then(|| telemetry.clone());
        let gateway = regatta_gateway::Gateway::bind(settings, Arc::new(discover)).await?;
        gateway.run(serving::drain()?).await?;
        telemetry.shutdown().await;
        Ok(())
    }
}
