//! `regatta control`: the control plane, as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use regatta_control_plane::{ControlPlane, Settings};

use crate::failure::Failure;
use crate::verbs::serving;

/// Runs the control plane: the service registry, speaking Consul's HTTP API.
#[derive(Debug, Args)]
pub(crate) struct Control {
    /// Where Consul's HTTP API listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8500")]
    listen: SocketAddr,
    /// Where the registry is kept.
    #[arg(long = "store", value_name = "PATH", default_value = ".regatta/data/control-plane")]
    store: PathBuf,
}

impl Control {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let telemetry = serving::telemetry("control-plane")?;
        let mut settings = Settings::default();
        settings.consul_listen = self.listen;
        settings.data_dir = self.store;
        let control_plane = ControlPlane::bind(settings).await?;
        control_plane.run(serving::drain()?).await;
        telemetry.shutdown().await;
        Ok(())
    }
}
