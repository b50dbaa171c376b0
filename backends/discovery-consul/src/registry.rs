//! The registry client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use regatta_core::{InstanceId, ServiceName};
use regatta_discovery::{Discover, Polls, Register, RegisterError, Registration, Watch};

use crate::http::Http;
use crate::poll::poll;
use crate::wire::{Registered, check_id, registration};
use crate::{InvalidOptions, Options, Transport};

/// A Consul agent, or Regatta's control plane; clones share connections and watches.
///
/// Watching needs the context of a tokio runtime. One blocking query runs per watched service,
/// however many watch it, and ends when nobody does.
#[derive(Clone, Debug)]
pub struct ConsulRegistry {
    http: Http,
    options: Arc<Options>,
    polls: Polls,
}

impl ConsulRegistry {
    /// Talks to the registry at `url` (`http://`, `https://`, `consul://` or just `host:port`);
    /// makes no connection yet.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] when the address is malformed or an option is out of range.
    pub fn try_new(url: &str, options: Options) -> Result<Self, InvalidOptions> {
        let transport = Http::network(&options)?;
        Self::with_transport(url, options, transport)
    }

    /// Talks to the registry at `url` over this, such as within a simulation.
    ///
    /// # Errors
    ///
    /// As [`ConsulRegistry::try_new`].
    pub fn with_transport(
        url: &str,
        options: Options,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, InvalidOptions> {
        options.validate()?;
        let http = Http::try_new(url, &options, transport)?;
        Ok(Self { http, options: Arc::new(options), polls: Polls::default() })
    }

    /// How many services are polled now.
    pub fn polled_services(&self) -> usize {
        self.polls.len()
    }
}

impl Discover for ConsulRegistry {
    fn watch(&self, service: &ServiceName) -> Watch {
        self.polls.watch(service, |publisher| {
            poll(self.http.clone(), Arc::clone(&self.options), service.clone(), publisher)
        })
    }
}

#[async_trait]
impl Register for ConsulRegistry {
    fn address(&self) -> &str {
        self.http.address()
    }

    async fn register(&self, wanted: &Registration) -> Result<(), RegisterError> {
        let path = ["v1", "agent", "service", "register"];
        let answer = self.http.put(&path, Some(&registration(wanted))).await;
        let answer = answer.map_err(|error| self.http.unreachable(error))?;
        if answer.status.is_success() { Ok(()) } else { Err(self.http.refused(&answer)) }
    }

    async fn deregister(&self, id: &InstanceId) -> Result<(), RegisterError> {
        let path = ["v1", "agent", "service", "deregister", id.as_str()];
        let answer = self.http.put(&path, None).await;
        let answer = answer.map_err(|error| self.http.unreachable(error))?;
        // Consul from 1.9 on answers 404 for an instance that is not there.
        let is_gone = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
        if is_gone { Ok(()) } else { Err(self.http.refused(&answer)) }
    }

    async fn is_registered(&self, wanted: &Registration) -> Result<bool, RegisterError> {
        let path = ["v1", "agent", "health", "service", "id", wanted.instance.id.as_str()];
        let answer = self.http.get(&path, &[], Duration::ZERO).await;
        let answer = answer.map_err(|error| self.http.unreachable(error))?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        // The status tells the health (200, 429, 503), so the body decides whether it is an answer.
        let registered = serde_json::from_slice::<Registered>(&answer.body);
        registered.map(|found| found.is(wanted)).map_err(|_| self.http.refused(&answer))
    }

    async fn heartbeat(&self, id: &InstanceId) -> Result<bool, RegisterError> {
        let check = check_id(id);
        let answer = self.http.put(&["v1", "agent", "check", "pass", &check], None).await;
        let answer = answer.map_err(|error| self.http.unreachable(error))?;
        // Up to 1.8 Consul says it in words, then by 404.
        let is_unknown = answer.status == StatusCode::NOT_FOUND
            || answer.message().contains("does not have associated TTL");
        match answer.status.is_success() {
            true => Ok(true),
            false if is_unknown => Ok(false),
            false => Err(self.http.refused(&answer)),
        }
    }
}
