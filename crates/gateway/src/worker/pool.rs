//! Idle upstream connections of one core; they never cross to another.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::hash::OwnKeys;

/// An idle connection and since when it is idle.
#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
}

/// Servers close connections that rest, not those that are busy.
const ASK_AFTER: Duration = Duration::from_millis(10);

thread_local! {
    static IDLE: RefCell<OwnKeys<SocketAddr, Vec<Idle>>> = RefCell::default();
}

/// Takes the connection that was idle for the shortest time and is still open.
///
/// One that the upstream has closed, or sent anything on without being asked, is dropped. With
/// `ask`, and for one that has rested for [`ASK_AFTER`], the system is asked even when no event has
/// come; it costs a call and is worth it where a close is likely, or the request may not be
/// repeated.
pub(crate) fn take(
    address: SocketAddr,
    now: Instant,
    idle_timeout: Duration,
    ask: bool,
) -> Option<TcpStream> {
    IDLE.with_borrow_mut(|idle| {
        let connections = idle.get_mut(&address)?;
        while let Some(connection) = connections.pop() {
            let idle = now.duration_since(connection.since);
            if idle < idle_timeout && is_silent(&connection.stream, ask || idle >= ASK_AFTER) {
                return Some(connection.stream);
            }
        }
        None
    })
}

/// Keeps a connection for the next request, unless there are enough.
pub(crate) fn put(address: SocketAddr, stream: TcpStream, now: Instant, most: usize) {
    IDLE.with_borrow_mut(|idle| {
        let connections = idle.entry(address).or_default();
        if connections.len() < most {
            connections.push(Idle { stream, since: now });
        }
    });
}

/// Closes what has been idle too long; called every second, so that upstreams need not.
pub(crate) fn sweep(now: Instant, idle_timeout: Duration) {
    IDLE.with_borrow_mut(|idle| {
        idle.retain(|_, connections| {
            connections.retain(|connection| {
                now.duration_since(connection.since) < idle_timeout
                    && is_silent(&connection.stream, false)
            });
            !connections.is_empty()
        });
    });
}

/// Closes all.
pub(crate) fn clear() {
    IDLE.with_borrow_mut(OwnKeys::clear);
}

fn is_silent(stream: &TcpStream, ask: bool) -> bool {
    let mut byte = [0];
    // Without an event from the system this answers without asking it.
    let quiet = matches!(
        stream.try_read(&mut byte),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
    );
    if !quiet || !ask {
        return quiet;
    }
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let peeked = socket2::SockRef::from(stream).peek(&mut byte);
    matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
