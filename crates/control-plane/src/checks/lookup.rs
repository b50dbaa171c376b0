//! Looks names up, so many at once that no other work waits for a thread.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Lookups at once. Each has a thread of the blocking pool until the system's resolver gives up,
/// also when its check has not waited for it; the pool has 512, and others need them, too.
const MOST: usize = 32;

/// How a name is looked up; tests have their own.
type Look = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks names up; cheap to clone.
#[derive(Clone)]
pub(super) struct Lookup {
    permits: Arc<Semaphore>,
    look: Arc<Look>,
}

impl Lookup {
    /// Asks the system's resolver.
    pub(super) fn new() -> Self {
        Self::with(MOST, |host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }

    fn with(
        most: usize,
        look: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { permits: Arc::new(Semaphore::new(most)), look: Arc::new(look) }
    }

    /// The addresses of a host. An IP address is its own.
    ///
    /// Cancel safe: a lookup that has begun ends by itself, and keeps its permit until then.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let (look, host) = (Arc::clone(&self.look), host.to_owned());
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = look(&host, port);
            drop(permit);
            found
        });
        looked_up.await.map_err(io::Error::other)?
    }

    /// Connects to `host:port`.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let malformed = || {
            let text = format!("`{address}` is no address; write host:port");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| malformed())?;
        TcpStream::connect(&*self.addresses(host, port).await?).await
    }
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup").field("permits", &self.permits).finish_non_exhaustive()
    }
}

/// For HTTP checks, whose client puts the port in itself.
impl reqwest::dns::Resolve for Lookup {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let lookup = self.clone();
        Box::pin(async move {
            let found = lookup.addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn lookups_that_nobody_waits_for_any_more_still_count() {
        let (end, ended) = channel::<()>();
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Mutex::new(ended));
        let count = Arc::clone(&begun);
        let lookup = Lookup::with(1, move |_, port| {
            count.fetch_add(1, Ordering::Relaxed);
            // The resolver's server is down.
            let _over = ended.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        });
        let short = Duration::from_millis(5);
        for _ in 0..20 {
            let asked = tokio::time::timeout(short, lookup.addresses("a.example", 1)).await;
            assert!(asked.is_err(), "gives up");
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        end.send(()).unwrap();
        end.send(()).unwrap();
        let found = lookup.addresses("a.example", 7).await.unwrap();
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 7))]);
    }

    #[tokio::test]
    async fn an_ip_address_waits_for_no_lookup() {
        let lookup = Lookup::with(0, |_, _| Ok(Vec::new()));
        let found = lookup.addresses("::1", 80).await.unwrap();
        assert_eq!(found, ["[::1]:80".parse().unwrap()]);
        for malformed in ["here", "here:", "here:70000"] {
            let error = lookup.connect(malformed).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{malformed}");
        }
    }
}
