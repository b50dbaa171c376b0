//! The control plane as a part to run.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use regatta_telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{self, Bounds};
use crate::access::AccessError;
use crate::advertise::advertised;
use crate::checks::{Prober, Runner, Schedule, SharedSchedule};
use crate::consul::{self, App, Events, Identity, router};
use crate::dns::{DnsBounds, DnsServer, Zone};
use crate::etcd::{EtcdServer, options};
use crate::kv::{Defragmenter, STORE, Store, Writer};
use crate::registry::{Delta, Limits};
use crate::shared::{Shared, observed};
use crate::store::{Engine, Opened, Own, open_store};
use crate::tls::TlsError;
use crate::{InvalidSettings, Settings};

/// Checks of one service, and of one node without a service; more mean a client that registers them without end.
const CHECKS_PER_SERVICE: usize = 64;
/// Requests at once on one HTTP/2 connection of a Consul client; those that block are many.
const MAX_STREAMS: u32 = 256;

/// A control plane that listens and is ready to run.
#[derive(Debug)]
pub struct ControlPlane {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
    identity: Identity,
    engine: Engine,
    store: Store,
    defragmenter: Defragmenter,
    writer: Writer,
    schedule: SharedSchedule,
    prober: Prober,
    etcd: Option<(SocketAddr, Box<EtcdServer>)>,
    dns: Option<(SocketAddr, DnsServer)>,
    shared: Shared,
}

/// The control plane cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A setting is out of range.
    #[error("wrong setting of the control plane")]
    Settings(#[source] InvalidSettings),
    /// Another process listens there.
    #[error(
        "port {} of the control plane is in use; stop the process that `ss -ltnp` shows, or listen \
         on another port", address.port()
    )]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen on `{address}`; check that the address is this machine's and the port is \
         allowed"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(
        "cannot open the store in `{}`; check that the folder is writable and that no other \
         control plane uses it", data_dir.display()
    )]
    Store {
        /// The folder.
        data_dir: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The access file cannot be used.
    #[error("access control cannot be set up")]
    Access(#[source] AccessError),
    /// The certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
    /// The client for HTTP checks cannot be made.
    #[error("cannot set up the HTTP client of the health checks")]
    Prober(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ControlPlane {
    /// Listens, opens the store and recovers what was acknowledged. Requests wait until
    /// [`ControlPlane::run`].
    ///
    /// # Errors
    ///
    /// [`BindError`] says what to do.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call closes what it opened.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        // Boxed: compiled here, and not once more in each program that polls it.
        Self::open(settings).boxed().await
    }

    async fn open(settings: Settings) -> Result<Self, BindError> {
        settings.validate().map_err(BindError::Settings)?;
        let shared = Shared::load(&settings).await?;
        let (listener, address) = listen(settings.consul_listen, &shared).await?;
        let prober = Prober::try_new().map_err(|error| BindError::Prober(error.into()))?;
        let schedule = SharedSchedule::new(Schedule::new(settings.min_deregister_after));
        let shown = advertised(settings.advertise, address.ip());
        let Opened { engine, store, writer, defragmenter } =
            open(&settings, shown, schedule.clone()).await?;
        let node_id = engine.read(|state| {
            state.checks().for_each(|check| schedule.follow(&Delta::PutCheck(check.clone())));
            state.node(&settings.node_name).map(|node| node.id.clone())
        });
        let identity = Identity {
            node: settings.node_name.clone(),
            node_id: node_id.unwrap_or_default(),
            datacenter: settings.datacenter.clone(),
            address: SocketAddr::new(shown, address.port()),
        };
        let etcd = match settings.etcd.listen {
            Some(address) => {
                let (listener, address) = listen(address, &shared).await?;
                let shown = match address.ip().is_unspecified() {
                    true => SocketAddr::new(shown, address.port()),
                    false => address,
                };
                let server = EtcdServer::new(
                    listener,
                    shown,
                    &settings,
                    shared.clone(),
                    store.clone(),
                    defragmenter.clone(),
                );
                Some((address, Box::new(server)))
            }
            None => None,
        };
        let dns = match settings.dns.listen {
            Some(address) => Some(bind_dns(&settings, address).await?),
            None => None,
        };
        Ok(Self {
            listener,
            address,
            settings,
            identity,
            engine,
            store,
            defragmenter,
            writer,
            schedule,
            prober,
            etcd,
            dns,
            shared,
        })
    }

    /// Where the Consul API listens; the port is the real one.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where etcd's API listens, if it does; the port is the real one.
    pub fn etcd_addr(&self) -> Option<SocketAddr> {
        self.etcd.as_ref().map(|(address, _)| *address)
    }

    /// Where DNS is answered, if it is; the port is the real one.
    pub fn dns_addr(&self) -> Option<SocketAddr> {
        self.dns.as_ref().map(|(address, _)| *address)
    }

    /// Reports requests, as spans and figures, to this telemetry.
    #[must_use]
    pub fn observed(mut self, telemetry: Telemetry) -> Self {
        self.shared.telemetry = Some(telemetry);
        self
    }

    /// Serves until `drain`, then answers what is in flight and returns.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, requests in flight are cut; nothing acknowledged is lost.
    pub async fn run(self, drain: CancellationToken) {
        self.serve(drain).boxed().await;
    }

    async fn serve(self, drain: CancellationToken) {
        let Self { listener, settings, identity, engine, store, defragmenter, writer, .. } = self;
        let (schedule, prober, shared) = (self.schedule, self.prober, self.shared);
        let (etcd, dns) = (self.etcd, self.dns);
        let tasks = TaskTracker::new();
        if let Some((_, etcd)) = etcd {
            tasks.spawn(etcd.run(shared.telemetry.clone(), drain.clone()));
        }
        if let Some((_, dns)) = dns {
            let (node, datacenter) = (identity.node.clone(), identity.datacenter.clone());
            let zone = Zone { datacenter, node };
            let shown = (shared.access.clone(), shared.metrics.clone());
            tasks.spawn(dns.run(engine.clone(), zone, shown, drain.clone()));
        }
        shared.follow(&tasks, &drain);
        tasks.spawn(writer.run());
        let max_running = settings.max_running_checks;
        let (checks, metrics) = (schedule.clone(), shared.metrics.clone());
        let runner = Runner::new(checks, engine.clone(), prober, max_running, metrics);
        tasks.spawn(runner.run(drain.clone()));
        tasks.close();
        let app = App {
            engine,
            schedule,
            identity: Arc::new(identity),
            blocked: Arc::new(Semaphore::new(
                settings.max_blocked_queries.min(Semaphore::MAX_PERMITS),
            )),
            metrics: shared.metrics,
            access: shared.access,
            max_body_bytes: settings.max_body_bytes,
            body_read_timeout: settings.body_read_timeout,
            bounds: consul::Bounds {
                max_value_bytes: settings.kv.max_value_bytes,
                max_key_bytes: settings.kv.max_key_bytes,
                max_txn_operations: settings.kv.max_txn_operations,
            },
            events: Events::default(),
            store,
            defragmenter,
            copies: shared.copies,
            tasks: tasks.clone(),
            drain: drain.clone(),
        };
        let bounds = Bounds {
            max_connections: settings.max_connections,
            max_streams: MAX_STREAMS,
            header_read_timeout: settings.header_read_timeout,
            idle_timeout: settings.idle_timeout,
            drain_timeout: settings.drain_timeout,
        };
        let routes = observed(router(app), shared.telemetry);
        accept::serve(listener, shared.tls, routes, bounds, drain).await;
        // The writer ends when the last user of the store has: the servers and the checks.
        tasks.wait().await;
    }
}

async fn listen(
    address: SocketAddr,
    shared: &Shared,
) -> Result<(TcpListener, SocketAddr), BindError> {
    let not_bound = |source| not_bound(address, source);
    let listener = TcpListener::bind(address).await.map_err(not_bound)?;
    let address = listener.local_addr().map_err(not_bound)?;
    if !address.ip().is_loopback() && shared.tls.is_none() {
        tracing::warn!(%address, "tokens and passwords cross the network in clear text; name a certificate");
    }
    Ok((listener, address))
}

async fn bind_dns(
    settings: &Settings,
    address: SocketAddr,
) -> Result<(SocketAddr, DnsServer), BindError> {
    let not_bound = |source| not_bound(address, source);
    let bounds = DnsBounds {
        max_connections: settings.dns.max_connections,
        idle_timeout: settings.dns.idle_timeout,
    };
    let server = DnsServer::bind(address, bounds).await.map_err(not_bound)?;
    let address = server.address().map_err(not_bound)?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "DNS is answered beyond this machine to everybody, with what the anonymous token may see");
    }
    Ok((address, server))
}

fn not_bound(address: SocketAddr, source: std::io::Error) -> BindError {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => BindError::PortInUse { address },
        _ => BindError::Listen { address, source },
    }
}

async fn open(
    settings: &Settings,
    address: IpAddr,
    schedule: SharedSchedule,
) -> Result<Opened, BindError> {
    let data_dir = settings.data_dir.clone();
    let (folder, options) = (data_dir.join(STORE), options(&settings.etcd));
    let limits = Limits {
        nodes: settings.max_nodes,
        services: settings.max_services,
        registry_bytes: settings.registry_quota_bytes,
        checks_per_service: CHECKS_PER_SERVICE,
        own_node: settings.node_name.clone(),
        sessions: settings.kv.max_sessions,
        key_bytes: settings.kv.quota_bytes,
    };
    let own = Own { node: settings.node_name.clone(), address: address.to_string() };
    let observer = move |delta: &Delta| schedule.follow(delta);
    let opened =
        tokio::task::spawn_blocking(move || open_store(&folder, options, limits, &own, observer));
    match opened.await {
        Ok(opened) => opened.map_err(|source| BindError::Store { data_dir, source: source.into() }),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
