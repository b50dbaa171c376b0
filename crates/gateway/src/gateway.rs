//! The gateway as a program sees it: bind, run, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use regatta_discovery::Discover;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLogger;
use crate::shared::{DrainGuard, Shared};
use crate::upstream::begin;
use crate::worker::Listeners;
use crate::{BindError, Handle, Settings, admin, worker};

/// How long the end waits for workers that were told to stop at once.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the first request may wait for the registry's first answer. A registry that is up
/// answers in milliseconds; one that is down must not keep the gateway from starting.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// A gateway that is bound and not yet running.
#[derive(Debug)]
pub struct Gateway {
    listeners: Listeners,
    admin: Option<(SocketAddr, tokio::net::TcpListener)>,
    handle: Handle,
}

impl Gateway {
    /// Checks the settings and binds the listeners; instances come from `discover`.
    ///
    /// Neither the registry nor a service needs to be up.
    ///
    /// # Errors
    ///
    /// [`BindError`] names a wrong setting or the address that is taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was bound is closed.
    pub async fn bind(settings: Settings, discover: Arc<dyn Discover>) -> Result<Self, BindError> {
        settings.validate()?;
        let workers = settings
            .workers
            .map_or_else(|| std::thread::available_parallelism().map_or(1, Into::into), Into::into);
        let listeners = Listeners::bind(settings.listen, workers)
            .map_err(|source| BindError::Listen { address: settings.listen, source })?;
        let admin = match settings.admin {
            None => None,
            Some(address) => {
                let failed = |source| BindError::Listen { address, source };
                let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
                Some((listener.local_addr().map_err(failed)?, listener))
            }
        };
        let log = AccessLogger::start(settings.access_log)
            .map_err(|source| BindError::Worker { worker: 0, source })?;
        let telemetry = settings.telemetry.clone();
        let share = |rules| Shared::new(rules, log, telemetry, CancellationToken::new());
        let handle = Handle::try_new(settings, discover, share)?;
        Ok(Self { listeners, admin, handle })
    }

    /// Changes the rules while the gateway runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where clients connect, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.listeners.address
    }

    /// Where operators connect, with the port that was taken.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// Serves until `drain` is cancelled, then finishes what is in flight, at most for the drain
    /// timeout.
    ///
    /// # Errors
    ///
    /// [`BindError::Worker`] when a thread cannot be made.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped run stops its workers without draining.
    pub async fn run(self, drain: CancellationToken) -> Result<(), BindError> {
        // Boxed: compiled here, and not once more in each program that polls it.
        self.serve(drain).boxed().await
    }

    async fn serve(self, drain: CancellationToken) -> Result<(), BindError> {
        let Self { listeners, admin, handle } = self;
        let shared = Arc::clone(handle.shared());
        let tasks = handle.tasks().clone();
        // Dropped or done, the workers end.
        let _stop = shared.stop.clone().drop_guard();
        let _drain = DrainGuard(Arc::clone(&shared));
        {
            let rules = shared.rules.load_full();
            let first = rules.targets().map(|target| begin(&target.upstream, FIRST_ANSWER));
            // Names that do not resolve must not keep the gateway from its other services.
            _ = tokio::time::timeout(FIRST_ANSWER, futures::future::join_all(first)).await;
        }
        handle.begin();
        if let Some((_, listener)) = admin {
            tasks.spawn(admin::run(listener, Arc::clone(&shared)));
        }
        let mut ends = Vec::new();
        for (number, socket) in listeners.sockets.into_iter().enumerate() {
            let (ended, end) = oneshot::channel::<()>();
            ends.push(end);
            let shared = Arc::clone(&shared);
            let failed = |source| BindError::Worker { worker: number, source };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            std::thread::Builder::new()
                .name(format!("gateway-{number}"))
                .spawn(move || {
                    runtime.block_on(worker::run(socket, shared));
                    // Whatever is still blocked must not hold the end up.
                    runtime.shutdown_background();
                    drop(ended);
                })
                .map_err(failed)?;
        }
        drain.cancelled().await;
        shared.begin_drain();
        let all = async {
            for end in ends {
                // A dropped sender is the worker's end.
                _ = end.await;
            }
        };
        let mut all = std::pin::pin!(all);
        let drained = tokio::time::timeout(shared.rules.load().timeouts.drain, all.as_mut()).await;
        shared.stop.cancel();
        if drained.is_err() {
            tracing::warn!(open = shared.open(), "drain timed out; closing what is still open");
            _ = tokio::time::timeout(LAST_WORDS, all).await;
        }
        tasks.close();
        _ = tokio::time::timeout(LAST_WORDS, tasks.wait()).await;
        Ok(())
    }
}
