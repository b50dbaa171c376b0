//! A control plane in this process, as a test uses it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use regatta_control_plane::{ControlPlane, Settings};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;

/// How long a test waits for what has to come.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A control plane that runs until it is dropped or stopped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    etcd: Option<SocketAddr>,
    dns: Option<SocketAddr>,
    api: Api,
    tasks: TaskTracker,
    drain: CancellationToken,
    _folder: Option<TempDir>,
}

impl Server {
    /// On a free port with a new store.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = settings(folder.path());
        change(&mut settings);
        let mut server = Self::run(settings).await;
        server._folder = Some(folder);
        server
    }

    /// With etcd's interface, and the store in this folder.
    pub(crate) async fn with_etcd_in(folder: &Path) -> Self {
        let mut settings = settings(folder);
        settings.etcd.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self::run(settings).await
    }

    /// Where etcd's interface is.
    pub(crate) fn etcd_endpoint(&self) -> String {
        self.etcd.expect("the test asked for it").to_string()
    }

    /// Where DNS is answered.
    pub(crate) fn dns_address(&self) -> String {
        self.dns.expect("the test asked for it").to_string()
    }

    /// At this address with the store in this folder.
    pub(crate) async fn at(address: SocketAddr, folder: &Path) -> Self {
        let mut settings = settings(folder);
        settings.consul_listen = address;
        Self::run(settings).await
    }

    async fn run(settings: Settings) -> Self {
        let control_plane = ControlPlane::bind(settings).await.unwrap();
        let (address, drain) = (control_plane.addr(), CancellationToken::new());
        let (etcd, dns) = (control_plane.etcd_addr(), control_plane.dns_addr());
        let tasks = TaskTracker::new();
        tasks.spawn(control_plane.run(drain.clone()));
        tasks.close();
        let api = Api::new(&address.to_string());
        Self { address, etcd, dns, api, tasks, drain, _folder: None }
    }

    /// Stops it and waits for the end; its store can be opened again then.
    pub(crate) async fn stop(self) {
        self.drain.cancel();
        tokio::time::timeout(LIMIT, self.tasks.wait()).await.unwrap();
    }
}

impl std::ops::Deref for Server {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.consul_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.data_dir = folder.to_owned();
    settings
}
