//! One core's loop: accept, hand to a task, sweep, drain.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::{pool, spawn, tasks};
use crate::shared::Shared;
use crate::{http1, http2};

/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// How long accepting rests when the system has no more file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

/// The sockets of all workers, bound to one address.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<StdListener>,
}

impl Listeners {
    /// Binds one socket per worker; the system shares connections among them.
    ///
    /// # Errors
    ///
    /// The system's; also when another process listens there, which sharing would hide.
    pub(crate) fn bind(address: SocketAddr, workers: usize) -> std::io::Result<Self> {
        use socket2::{Domain, Protocol, Socket, Type};
        let open = |address: SocketAddr, shared: bool| {
            let socket =
                Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // A port in TIME_WAIT is free; one that somebody listens on is not.
            socket.set_reuse_address(true)?;
            if shared {
                socket.set_reuse_port(true)?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            Ok::<_, std::io::Error>(socket)
        };
        // Only a socket that shares with nobody tells whether the port is taken.
        let alone = open(address, false)?;
        alone.listen(1)?;
        let taken = alone.local_addr()?;
        let address = taken.as_socket().unwrap_or(address);
        drop(alone);
        let mut sockets = Vec::with_capacity(workers);
        for _ in 0..workers {
            let socket = open(address, true)?;
            socket.listen(4096)?;
            sockets.push(socket.into());
        }
        Ok(Self { address, sockets })
    }
}

/// Serves on this thread until the drain is over.
///
/// # Cancel safety
///
/// Not cancel safe: connections are broken.
pub(crate) async fn run(listener: StdListener, shared: Arc<Shared>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a worker cannot listen");
            return;
        }
    };
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.drain.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => connect(stream, peer, &shared),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(OUT_OF_FILES).await;
                }
            },
            _ = sweep.tick() => {
                let idle = shared.rules.load().timeouts.upstream_idle;
                let now = Instant::now();
                pool::sweep(now, idle);
                http2::pool::sweep(now, idle);
            }
        }
    }
    // Clients that the system has accepted for us would be reset by closing the socket.
    while let Ok(Ok((stream, peer))) =
        tokio::time::timeout(Duration::from_millis(1), listener.accept()).await
    {
        connect(stream, peer, &shared);
    }
    drop(listener);
    let tasks = tasks();
    tasks.close();
    // Upstream connections have tasks too; idle ones end when their pool does.
    http2::pool::clear();
    pool::clear();
    tokio::select! {
        () = tasks.wait() => (),
        () = shared.stop.cancelled() => (),
    }
    http2::pool::clear();
    pool::clear();
}

fn connect(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    _ = stream.set_nodelay(true);
    let peer = peer.ip().to_canonical();
    match shared.admit() {
        Some(admission) => {
            let shared = Arc::clone(shared);
            spawn(async move {
                let _admission = admission;
                http1::serve(stream, peer, shared).await;
            });
        }
        None => {
            shared.metrics.connection_refused();
            // Whoever does not read this is closed all the same.
            _ = stream.try_write(&http1::too_many_connections(peer, shared));
        }
    }
}
