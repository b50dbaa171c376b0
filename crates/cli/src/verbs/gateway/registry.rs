//! Where the gateway finds instances, by URL.

use std::sync::Arc;

use regatta_discovery::{Discover, Scheme, StaticRegistry};
use regatta_discovery_consul::{self as consul, ConsulRegistry};
use regatta_discovery_dns::{self as dns, DnsRegistry};

use crate::failure::Failure;

/// The registry of a URL; it may be away.
pub(super) fn discover(url: &str) -> Result<Arc<dyn Discover>, Failure> {
    Ok(match url.parse::<Scheme>()? {
        Scheme::Consul => {
            let options = consul::Options::from_variables(|name| std::env::var(name).ok())?;
            Arc::new(ConsulRegistry::try_new(url, options)?)
        }
        Scheme::Dns => Arc::new(DnsRegistry::try_new(url, dns::Options::default())?),
        Scheme::Static => Arc::new(url.parse::<StaticRegistry>()?),
        scheme => {
            let name = scheme.name();
            return Err(Failure::usage(format!(
                "registry `{name}` has no instances for a gateway; use consul://HOST:PORT, \
                 dns:NAME or static:NAME=HOST:PORT"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_url_says_which_registry_it_is() {
        for url in [
            "http://127.0.0.1:8500",
            "consul://127.0.0.1:8500",
            "static:user=127.0.0.1:1",
            "dns:{service}.local:80",
        ] {
            assert!(discover(url).is_ok(), "{url}");
        }
        for (url, part) in [("memory:", "`memory`"), ("zookeeper://x", "`zookeeper://x`")] {
            let Err(failure) = discover(url) else { panic!("{url}") };
            assert!(failure.to_string().contains(part), "{failure}");
        }
    }
}
