//! From `registry.url` to a registry.

use std::sync::Arc;

use regatta_discovery::{Discover, MemoryRegistry, Register, Scheme, StaticRegistry};
use regatta_discovery_consul::{ConsulRegistry, Options};
use regatta_discovery_dns::DnsRegistry;

use crate::settings::RegistrySettings;
use crate::{Error, Result};

/// Where this process is registered and finds others.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    pub(crate) discover: Arc<dyn Discover>,
    /// None: instances are fixed, or there is no registry.
    pub(crate) register: Option<Arc<dyn Register>>,
}

impl Registry {
    /// Opens the registry that the settings name; connects to nothing yet.
    pub(crate) fn open(settings: &RegistrySettings) -> Result<Self> {
        let url = settings.url.trim();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Registry {
            url: url.to_owned(),
            source,
        };
        let mut registry = match url.parse::<Scheme>().map_err(|error| failed(error.into()))? {
            Scheme::None => Self { discover: Arc::new(MemoryRegistry::new()), register: None },
            Scheme::Memory => Self::of(MemoryRegistry::of_process()),
            Scheme::Static => {
                let fixed: StaticRegistry = url.parse().map_err(|e| failed(Box::new(e)))?;
                Self { discover: Arc::new(fixed), register: None }
            }
            Scheme::Dns => {
                let dns = DnsRegistry::try_new(url, regatta_discovery_dns::Options::default());
                let dns = dns.map_err(|error| failed(error.into()))?;
                Self { discover: Arc::new(dns), register: None }
            }
            Scheme::Consul => {
                let mut options = Options::default();
                options.token.clone_from(&settings.token);
                let options = options.with_files(
                    settings.ca_file.as_deref(),
                    settings.cert_file.as_deref(),
                    settings.key_file.as_deref(),
                );
                let options = options.map_err(|error| failed(error.into()))?;
                let consul = ConsulRegistry::try_new(url, options);
                Self::of(consul.map_err(|error| failed(error.into()))?)
            }
            other => {
                let message = format!("a registry of the sort `{other}` is not in this build");
                return Err(failed(message.into()));
            }
        };
        if !settings.register {
            registry.register = None;
        }
        Ok(registry)
    }

    /// One registry for both sides, as tests and fleets in one process want it.
    pub(crate) fn of<R: Discover + Register + Clone>(registry: R) -> Self {
        Self { discover: Arc::new(registry.clone()), register: Some(Arc::new(registry)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Registry> {
        let settings = RegistrySettings { url: url.to_owned(), ..RegistrySettings::default() };
        Registry::open(&settings)
    }

    #[tokio::test]
    async fn a_registry_is_named_by_its_url() {
        for url in ["consul://127.0.0.1:8500", "http://127.0.0.1:8500", "127.0.0.1:8500", "memory:"]
        {
            assert!(open(url).unwrap().register.is_some(), "{url}");
        }
        for url in ["none", "static:user-service=127.0.0.1:8081", "dns:{service}:8080"] {
            assert!(open(url).unwrap().register.is_none(), "{url}");
        }
    }

    #[tokio::test]
    async fn an_instance_that_somebody_else_registers_does_not_register_itself() {
        let settings = RegistrySettings { register: false, ..RegistrySettings::default() };
        assert!(Registry::open(&settings).unwrap().register.is_none());
    }

    #[tokio::test]
    async fn a_file_of_certificates_that_is_not_there_is_named() {
        let ca_file = Some("absent/ca.pem".into());
        let error = Registry::open(&RegistrySettings { ca_file, ..RegistrySettings::default() });
        let error = format!("{:?}", error.unwrap_err());
        assert!(error.contains("absent/ca.pem"), "{error}");
    }

    #[tokio::test]
    async fn another_url_is_refused_with_what_would_do() {
        let error = format!("{:?}", open("zookeeper://127.0.0.1").unwrap_err());
        assert!(
            error.contains("`zookeeper://127.0.0.1`") && error.contains("consul://"),
            "{error}"
        );
    }
}
