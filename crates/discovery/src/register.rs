//! The port through which an instance makes itself known.

use std::time::Duration;

use async_trait::async_trait;
use regatta_core::{Instance, InstanceId, Origin};

/// One instance as it wants to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who and where.
    pub instance: Instance,
    /// How the registry finds out whether it is healthy; none: healthy while registered.
    pub check: Option<Check>,
    /// Words to select instances by, such as `grpc`.
    pub tags: Vec<String>,
}

/// How the registry finds out whether an instance is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub probe: Probe,
    /// Time from one probe to the next; of [`Probe::Ttl`], how long the instance may be silent. At
    /// least 1 s.
    pub interval: Duration,
    /// How long a probe may take before it counts as failed; of no meaning for [`Probe::Ttl`].
    pub timeout: Duration,
    /// Removes an instance that failed for so long without a pause, because its process is gone
    /// for good; none: it stays listed as unhealthy. Consul raises less than 1 min to 1 min.
    pub deregister_after: Option<Duration>,
}

/// What a check asks, at the instance's own endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET` of this path; healthy when the status is 2xx.
    Http {
        /// The path, beginning with `/`.
        path: String,
    },
    /// Connects; healthy when that succeeds.
    Tcp,
    /// Asks gRPC's health service (`grpc.health.v1`), without TLS; healthy when it says `SERVING`.
    Grpc {
        /// The full name of the service asked about, such as `shop.Orders`; empty for the whole
        /// server.
        service: String,
    },
    /// Nothing: the instance says that it lives ([`Register::heartbeat`]), and is unhealthy when it
    /// was silent for the interval. For a process that nobody can connect to. A
    /// [`Registrar`](crate::Registrar) says so three times in that time.
    Ttl,
}

impl Registration {
    /// A registration without check and tags.
    pub fn new(instance: Instance) -> Self {
        Self { instance, check: None, tags: Vec::new() }
    }

    /// The same registration with this check.
    #[must_use]
    pub fn with_check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// The same registration with these tags.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

impl Registration {
    /// How long the instance may be silent; none when it is asked, or not checked.
    pub fn silence(&self) -> Option<Duration> {
        let check = self.check.as_ref().filter(|check| check.probe == Probe::Ttl)?;
        Some(check.interval)
    }

    /// Whether this, which a registry holds, is `wanted`: of any life, if `wanted` does not say of
    /// which. For backends.
    pub fn is(&self, wanted: &Self) -> bool {
        if wanted.instance.incarnation > 0 {
            return self == wanted;
        }
        let mut held = self.clone();
        held.instance.incarnation = 0;
        held == *wanted
    }
}

impl Check {
    /// Ghosts go after ten minutes: longer than any restart, shorter than a working day.
    const DEREGISTER_AFTER: Duration = Duration::from_secs(600);

    /// A TCP check every 10 s with a timeout of 30 s (the source design's values); deregisters
    /// after 10 min.
    pub fn tcp() -> Self {
        Self {
            probe: Probe::Tcp,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            deregister_after: Some(Self::DEREGISTER_AFTER),
        }
    }

    /// An HTTP check of this path every 10 s with a timeout of 5 s; deregisters after 10 min.
    pub fn http(path: &str) -> Self {
        Self {
            probe: Probe::Http { path: path.to_owned() },
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            deregister_after: Some(Self::DEREGISTER_AFTER),
        }
    }

    /// A check over gRPC of this service every 10 s with a timeout of 5 s; deregisters after 10 min.
    pub fn grpc(service: &str) -> Self {
        Self { probe: Probe::Grpc { service: service.to_owned() }, ..Self::http("") }
    }

    /// A check that fails when the instance is silent for so long; deregisters after 10 min.
    pub fn ttl(silence: Duration) -> Self {
        Self { probe: Probe::Ttl, interval: silence, ..Self::http("") }
    }

    /// The same check with this interval.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

/// A registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// No usable answer came. It may have been done all the same; asking again is harmless.
    #[error("registry at `{registry}` did not answer; check that it runs and its address is right")]
    Unreachable {
        /// Address of the registry.
        registry: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry failed by its own account; later it may not.
    #[error("registry at `{registry}` failed with status {status}: {message}; see its log")]
    Failed {
        /// Address of the registry.
        registry: String,
        /// Its HTTP status or the like.
        status: u16,
        /// Its words, cut to 500 bytes.
        message: String,
    },
    /// The registry refused; asking the same again is useless.
    #[error(
        "registry at `{registry}` refused with status {status}: {message}; correct the request"
    )]
    Refused {
        /// Address of the registry.
        registry: String,
        /// Its HTTP status or the like.
        status: u16,
        /// Its words, cut to 500 bytes.
        message: String,
    },
}

impl RegisterError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    /// Whose fault it is.
    pub fn origin(&self) -> Origin {
        if self.is_retryable() { Origin::Upstream } else { Origin::Caller }
    }
}

/// Adds and removes instances in a registry. Most programs use a [`Registrar`](crate::Registrar).
///
/// Implementations must pass every check in `conformance` (feature `conformance`), and bound the
/// time of every call.
#[async_trait]
pub trait Register: Send + Sync + std::fmt::Debug + 'static {
    /// Where the registry is, for messages, such as `http://127.0.0.1:8500`.
    fn address(&self) -> &str;

    /// Registers, or replaces what is registered under the same id.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; the call may be repeated when it says so.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have registered. Repeating it is harmless.
    async fn register(&self, registration: &Registration) -> Result<(), RegisterError>;

    /// Removes an instance; done as well when there is none.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; the call may be repeated when it says so.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have deregistered. Repeating it is harmless.
    async fn deregister(&self, id: &InstanceId) -> Result<(), RegisterError>;

    /// Whether the registry holds this registration, with this address and these attributes; of any
    /// life (incarnation), if this one does not say of which.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: asking changes nothing.
    async fn is_registered(&self, registration: &Registration) -> Result<bool, RegisterError>;

    /// Says that an instance with [`Probe::Ttl`] lives; false when the registry does not know it, so
    /// that it has to register. A registry that waits for nobody answers true, as here.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; the call may be repeated when it says so.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the registry heard it or did not.
    async fn heartbeat(&self, _id: &InstanceId) -> Result<bool, RegisterError> {
        Ok(true)
    }
}
