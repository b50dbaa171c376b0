//! `regatta gateway`: the reverse proxy, as a process of its own.

mod convert;
mod limits;
mod live;
mod memory;
mod registry;
mod traffic;

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use regatta_core::Secret;
use regatta_manifest::Manifest;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;

pub(crate) use self::memory::problems;
use crate::failure::Failure;
use crate::system::Place;
use crate::verbs::{open_files, serving};

/// Runs the gateway under the rules of the manifest.
#[derive(Debug, Args)]
pub(crate) struct Gateway {
    /// Where clients connect. Default: gateway.listen of the manifest.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where metrics and health are served to operators. Default: gateway.admin of the manifest.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Where instances are found: consul://, dns: or static:. Default: control_plane.listen of the
    /// manifest.
    #[arg(long, value_name = "URL", env = "CONSUL_HTTP_ADDR")]
    registry: Option<String>,
}

impl Gateway {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let telemetry = serving::telemetry("gateway")?;
        let path = place.manifest_path()?;
        // Before it is read, so that no later change is missed.
        let seen = live::look(&path);
        let manifest = Manifest::load(&path)?;
        let registry = match &self.registry {
            Some(url) => url.clone(),
            None => format!("http://{}", manifest.control_plane.listen),
        };
        let discover = registry::discover(&registry)?;
        let exports = telemetry.exports_spans().then(|| telemetry.clone());
        let shared = limits::Shared::default();
        let convert = move |path: &Path, manifest: &Manifest| {
            // From the environment alone: other users of the machine can read arguments.
            let secret = std::env::var("AUTH__SECRET").ok().map(Secret::new);
            let folder = path.parent().unwrap_or(Path::new("."));
            let mut settings = convert::settings(manifest, folder, secret)?;
            settings.listen = self.listen.unwrap_or(settings.listen);
            settings.admin = self.admin.or(settings.admin);
            let url = manifest.gateway.limits.url.as_deref();
            shared.share(url, &manifest.name, &mut settings)?;
            // Without an endpoint the gateway pays nothing for spans.
            settings.telemetry = exports.clone();
            Ok::<_, Failure>(settings)
        };
        let settings = convert(&path, &manifest)?;
        // Each client's request may need a connection to an instance.
        open_files::allow(2 * settings.limits.connections);
        let gateway = regatta_gateway::Gateway::bind(settings, discover).await?;
        let drain = serving::drain()?;
        let hang_up = signal(SignalKind::hangup())?;
        let read = {
            let path = path.clone();
            move || convert(&path, &Manifest::load(&path)?)
        };
        let tasks = TaskTracker::new();
        tasks.spawn(live::follow(path, gateway.handle(), read, hang_up, drain.clone(), seen));
        gateway.run(drain.clone()).await?;
        drain.cancel();
        tasks.close();
        tasks.wait().await;
        telemetry.shutdown().await;
        Ok(())
    }
}
