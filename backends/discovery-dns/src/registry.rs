//! Name servers as a registry.

use std::fmt;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use regatta_core::ServiceName;
use regatta_discovery::{Discover, Polls, Watch};

use crate::lookup::resolver;
use crate::pattern::Pattern;
use crate::poll::poll;
use crate::{InvalidOptions, InvalidUrl, Options};

/// Name servers as a registry; clones share their watches.
///
/// Watching needs the context of a tokio runtime. Each watched service is looked up by one task,
/// however many watch it, which ends when nobody does.
#[derive(Clone)]
pub struct DnsRegistry {
    resolver: TokioResolver,
    pattern: Arc<Pattern>,
    options: Arc<Options>,
    polls: Polls,
}

/// No registry can be made of this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is wrong.
    #[error("the registry's URL is wrong")]
    Url(#[source] InvalidUrl),
    /// An option is out of range.
    #[error("an option of the registry is out of range")]
    Options(#[source] InvalidOptions),
    /// The system's list of name servers cannot be read.
    #[error("the system's name servers are not known; name one, as in dns://10.0.0.10/NAME")]
    System(#[source] NetError),
}

impl DnsRegistry {
    /// Asks the name servers of this `dns:` URL; asks nothing yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the URL or an option is wrong, or the system names no name server.
    pub fn try_new(url: &str, options: Options) -> Result<Self, OpenError> {
        let pattern = Pattern::parse(url).map_err(OpenError::Url)?;
        options.validate().map_err(OpenError::Options)?;
        let resolver = resolver(&pattern, &options).map_err(OpenError::System)?;
        let (pattern, options) = (Arc::new(pattern), Arc::new(options));
        Ok(Self { resolver, pattern, options, polls: Polls::default() })
    }

    /// How many services are looked up now.
    pub fn polled_services(&self) -> usize {
        self.polls.len()
    }
}

impl Discover for DnsRegistry {
    fn watch(&self, service: &ServiceName) -> Watch {
        self.polls.watch(service, |publisher| {
            let (pattern, options) = (Arc::clone(&self.pattern), Arc::clone(&self.options));
            poll(self.resolver.clone(), pattern, options, service.clone(), publisher)
        })
    }
}

impl fmt::Debug for DnsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsRegistry").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}
