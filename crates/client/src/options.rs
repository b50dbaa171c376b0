//! How calls are bounded, balanced and repeated.

use std::time::Duration;

use regatta_resilience::{concurrency, hedge, retry};
use regatta_traffic::cluster;

use crate::transport::Limits;

/// How calls to a service are bounded, balanced and repeated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The most time for a call with all its tries. Default 15 s: three tries with their waits. A
    /// caller's earlier deadline comes first; more than 0.
    pub timeout: Duration,
    /// The most time for one try, until the response begins. Default 5 s: a third of `timeout`, so
    /// that an instance that hangs costs one try and not the call; more than 0.
    pub try_timeout: Duration,
    /// The most time for a connection. Default 1 s: a round trip and one lost packet, inside a
    /// data centre; more than 0.
    pub connect_timeout: Duration,
    /// How long a call waits for discovery's first answer. Default 5 s: longer than a registry
    /// takes to start. Later calls never wait: the last known instances are used.
    pub discovery_timeout: Duration,
    /// How often and how fast calls are repeated. Default 3 tries, at most 1 s, 2 s, 4 s between.
    pub retry: retry::Policy,
    /// Retries per service, as a percentage of its successes. Default 20; 0 to 100.
    pub retry_percent: u32,
    /// Retries per service and second beyond that. Default 3.
    pub retries_per_second: u32,
    /// When a read that takes long is sent to a second instance too, so that the first answer
    /// stands: `GET`, `HEAD`, `OPTIONS`, and calls over an idempotent channel. Each takes one retry
    /// out of the budget. Default none: never.
    pub hedge: Option<hedge::Settings>,
    /// Calls in flight to the service at a time, and how many wait for how long. Default 1024, and
    /// 256 for 250 ms; none: without bound.
    pub concurrency: Option<concurrency::Settings>,
    /// How instances are chosen, by which versions, and when one is left alone.
    pub cluster: cluster::Policies,
    /// The longest silence within a body of a call that is
    /// [`streamed`](crate::RequestBuilder::streamed). Default 30 s, as in the gateway; more than 0.
    pub body_idle: Duration,
    /// How long an idle connection is kept. Default 30 s: under the 60 s after which servers close
    /// theirs, so that no request meets a closing connection.
    pub idle_timeout: Duration,
    /// Idle HTTP/1.1 connections kept per instance. Default 32.
    pub max_idle: usize,
    /// HTTP/2 connections per instance: another is opened when the streams that the instance allows
    /// on one are in use. Default 4, of 100 streams and more each; more than 0.
    pub max_http2: usize,
    /// The largest body that [`crate::Response`] reads into memory, in bytes. Default 16 MiB.
    pub max_body_bytes: usize,
    /// The largest gRPC request that is kept for a retry, in bytes. Default 64 KiB: most unary
    /// messages; larger ones and streams are sent once.
    pub replay_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            try_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            discovery_timeout: Duration::from_secs(5),
            retry: retry::Policy::default(),
            retry_percent: 20,
            retries_per_second: 3,
            hedge: None,
            concurrency: Some(concurrency::Settings::default()),
            cluster: cluster::Policies::default(),
            body_idle: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            max_idle: 32,
            max_http2: 4,
            max_body_bytes: 16 << 20,
            replay_bytes: 64 << 10,
        }
    }
}

/// An option is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// A call that may take no time is never made.
    #[error("{name} is `0`; set it to 1 ms or more")]
    Zero {
        /// The option.
        name: &'static str,
    },
    /// Without a connection nothing can be sent.
    #[error("max_http2 is `0`; set it to 1 or more")]
    NoConnection,
    /// A call is tried at least once.
    #[error("retry.tries is `0`; set it to 1 to switch retries off")]
    NoTry,
    /// When reads are sent twice is out of range.
    #[error("hedge is out of range")]
    Hedge(#[from] hedge::InvalidSettings),
    /// The bound on calls in flight is out of range.
    #[error("concurrency is out of range")]
    Concurrency(#[from] concurrency::InvalidSettings),
    /// The cluster's policies are out of range.
    #[error("the policies of the instances are out of range")]
    Cluster(#[from] cluster::InvalidPolicies),
    /// The retry budget is out of range.
    #[error("retry_percent is out of range")]
    Budget(#[from] retry::InvalidBudget),
}

impl Options {
    pub(crate) fn limits(&self) -> Limits {
        let Self { connect_timeout, idle_timeout, max_idle, max_http2, .. } = *self;
        Limits { connect_timeout, idle_timeout, max_idle, max_http2 }
    }

    /// Checks every option.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first out of range.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let times = [
            ("timeout", self.timeout),
            ("try_timeout", self.try_timeout),
            ("connect_timeout", self.connect_timeout),
            ("body_idle", self.body_idle),
        ];
        if let Some((name, _)) = times.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(InvalidOptions::Zero { name });
        }
        if self.retry.tries == 0 {
            return Err(InvalidOptions::NoTry);
        }
        if self.max_http2 == 0 {
            return Err(InvalidOptions::NoConnection);
        }
        self.hedge.iter().try_for_each(hedge::Settings::validate)?;
        self.concurrency.iter().try_for_each(concurrency::Settings::validate)?;
        self.cluster.validate()?;
        retry::Budget::try_new(self.retry_percent, self.retries_per_second)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Options::default().validate(), Ok(()));
    }

    #[test]
    fn names_the_option_out_of_range() {
        let message = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            regatta_core::Chain(&options.validate().unwrap_err()).to_string()
        };
        assert!(message(|o| o.timeout = Duration::ZERO).starts_with("timeout is `0`"));
        assert!(message(|o| o.try_timeout = Duration::ZERO).starts_with("try_timeout is `0`"));
        assert!(message(|o| o.connect_timeout = Duration::ZERO).contains("connect_timeout"));
        assert!(message(|o| o.body_idle = Duration::ZERO).starts_with("body_idle is `0`"));
        assert!(message(|o| o.retry.tries = 0).contains("retry.tries"));
        assert!(message(|o| o.retry_percent = 101).contains("`101` percent"));
        let no_probe = |o: &mut Options| {
            let settings = regatta_resilience::breaker::Settings::default();
            o.cluster.breaker = Some(settings.with_probes(0));
        };
        assert!(message(no_probe).contains("probes is `0`"));
        let always = hedge::Settings::default().with_percentile(0);
        let wrong = Options { hedge: Some(always), ..Options::default() };
        assert!(
            regatta_core::Chain(&wrong.validate().unwrap_err()).to_string().contains("percentile")
        );
        assert!(message(|o| o.concurrency = Some(concurrency::Settings::new(0))).contains("limit"));
        assert!(message(|o| o.max_http2 = 0).contains("max_http2 is `0`"));
    }
}
