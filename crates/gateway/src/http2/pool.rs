//! A core's hyper connections to instances: HTTP/2 for gRPC, HTTP/1.1 for the rest.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::body::Upload;
use crate::worker::Spawner;

/// Time between two pings to a service while streams are open, and for the answer to one: what servers
/// of gRPC allow by default, which end connections that are pinged more often.
const PING: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(20));

/// After so much silence the operating system asks whether the peer is there, and again so often.
const PROBES: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// Longest time that what was sent, a probe too, is not acknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// A connection that takes requests.
#[derive(Debug)]
pub(super) enum Sender {
    One(http1::SendRequest<Upload>),
    Many(http2::SendRequest<Upload>),
}

/// Idle and busy HTTP/1.1 connections to one address, with when each was last used.
type Ones = Vec<(http1::SendRequest<Upload>, Instant)>;

thread_local! {
    static ONE: RefCell<HashMap<SocketAddr, Ones>> = RefCell::new(HashMap::new());
    static MANY: RefCell<HashMap<SocketAddr, http2::SendRequest<Upload>>> =
        RefCell::new(HashMap::new());
}

/// Takes a connection that is at hand.
pub(super) fn take(
    address: SocketAddr,
    many: bool,
    now: Instant,
    idle: Duration,
) -> Option<Sender> {
    if many {
        return MANY.with_borrow_mut(|all| {
            let sender = all.get(&address)?;
            if sender.is_closed() {
                all.remove(&address);
                return None;
            }
            Some(Sender::Many(sender.clone()))
        });
    }
    ONE.with_borrow_mut(|all| {
        let senders = all.get_mut(&address)?;
        senders.retain(|(sender, used)| !sender.is_closed() && now.duration_since(*used) < idle);
        let at = senders.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(Sender::One(senders.swap_remove(at).0))
    })
}

/// Keeps a connection; an HTTP/1.1 one is taken again once its response has been read.
pub(super) fn put(address: SocketAddr, sender: Sender, now: Instant, most: usize) {
    if let Sender::One(sender) = sender {
        ONE.with_borrow_mut(|all| {
            let senders = all.entry(address).or_default();
            if senders.len() < most {
                senders.push((sender, now));
            }
        });
    }
}

/// Closes what has been idle too long.
pub(crate) fn sweep(now: Instant, idle: Duration) {
    ONE.with_borrow_mut(|all| {
        all.retain(|_, senders| {
            senders.retain(|(it, used)| !it.is_closed() && now.duration_since(*used) < idle);
            !senders.is_empty()
        });
    });
    MANY.with_borrow_mut(|all| all.retain(|_, sender| !sender.is_closed()));
}

/// Closes all.
pub(crate) fn clear() {
    ONE.with_borrow_mut(HashMap::clear);
    MANY.with_borrow_mut(HashMap::clear);
}

/// Opens a connection.
///
/// # Errors
///
/// The system's, or that the upstream does not speak the protocol.
///
/// # Cancel safety
///
/// Cancel safe: what was opened is closed.
pub(super) async fn connect(address: SocketAddr, many: bool) -> io::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBES.0).with_interval(PROBES.1))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    let io = TokioIo::new(stream);
    if many {
        let (sender, connection) = http2::Builder::new(Spawner)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .adaptive_window(false)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        crate::worker::spawn(async { drop(connection.await) });
        MANY.with_borrow_mut(|all| all.insert(address, sender.clone()));
        return Ok(Sender::Many(sender));
    }
    let (sender, connection) =
        http1::Builder::new().handshake(io).await.map_err(io::Error::other)?;
    crate::worker::spawn(async { drop(connection.await) });
    Ok(Sender::One(sender))
}
