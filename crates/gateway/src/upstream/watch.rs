//! Follows a service's instances from the registry into its upstream.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use regatta_core::{Endpoint, Instance};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Upstream;

/// How often host names are asked for again; a name's addresses move without the registry knowing.
const RESOLVE_AGAIN: Duration = Duration::from_secs(30);

/// How long one look-up may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes over what the registry knows by now, waiting for its first answer at most so long.
///
/// # Cancel safety
///
/// Cancel safe: the upstream keeps what it has.
pub(crate) async fn begin(upstream: &Upstream, timeout: Duration) {
    let known = upstream.watch.current();
    let set = if known.is_known() { known } else { upstream.watch.first(timeout).await };
    upstream.replace(addresses(upstream, &set.instances).await, Instant::now().into_std());
}

/// Keeps the upstream's instances as the registry last knew them, until the stop.
///
/// # Cancel safety
///
/// Cancel safe: the upstream keeps the last set.
pub(crate) async fn follow(upstream: Arc<Upstream>, stop: CancellationToken) {
    let mut watch = upstream.watch.clone();
    let mut set = watch.current();
    loop {
        let has_names =
            set.instances.iter().any(|instance| instance.endpoint.as_socket_addr().is_none());
        let found = addresses(&upstream, &set.instances).await;
        let (seen, listed) = (found.len(), set.instances.len());
        if seen < listed {
            tracing::warn!(service = %upstream.name, listed, seen, "instances without an address");
        }
        // A list of names of which none was ever resolved says that the resolver is away.
        if seen > 0 || listed == 0 {
            replace(&upstream, found).await;
        }
        let again = async {
            if has_names {
                tokio::time::sleep(RESOLVE_AGAIN).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = watch.changed() => set = changed,
            () = again => (),
        }
    }
}

/// Takes over a new set, beside the other tasks if that takes long.
async fn replace(upstream: &Arc<Upstream>, found: Vec<(Instance, SocketAddr)>) {
    let now = Instant::now().into_std();
    if !upstream.takes_long(&found) {
        return upstream.replace(found, now);
    }
    let shared = Arc::clone(upstream);
    // It does not panic; did it, the set before would stay.
    drop(tokio::task::spawn_blocking(move || shared.replace(found, now)).await);
}

/// The instances with their addresses: what the resolver says, else what it last said.
async fn addresses(upstream: &Upstream, instances: &[Instance]) -> Vec<(Instance, SocketAddr)> {
    let answers = join_all(instances.iter().map(|instance| resolve(&instance.endpoint))).await;
    // Each change leaves it whole.
    let mut names = upstream.names.lock().unwrap_or_else(PoisonError::into_inner);
    names.take(instances, &answers)
}

async fn resolve(endpoint: &Endpoint) -> Option<SocketAddr> {
    if let Some(address) = endpoint.as_socket_addr() {
        return Some(address);
    }
    let lookup = tokio::net::lookup_host((endpoint.host(), endpoint.port()));
    let answer = tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await;
    answer.ok().and_then(Result::ok).and_then(|mut addresses| addresses.next())
}
