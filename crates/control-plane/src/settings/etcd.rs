//! What the operator may set about the key-value store and etcd's interface to it.

use std::net::SocketAddr;
use std::time::Duration;

use super::InvalidSettings;

/// What the operator may set about the key-value store and etcd's interface to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EtcdSettings {
    /// Where etcd's gRPC API listens; port 0 takes a free one. Default none: there is no
    /// key-value store then.
    pub listen: Option<SocketAddr>,
    /// Connections at once; more wait to be accepted. Default 16384. At least 1.
    pub max_connections: usize,
    /// The largest write, in bytes; more is answered with INVALID_ARGUMENT. Default 1.5 MiB, as
    /// etcd's. At most 64 MiB.
    pub max_request_bytes: usize,
    /// Operations in each list of a transaction, those around a nested one counted in; more is
    /// answered with INVALID_ARGUMENT. Default 128, as etcd's. At least 1.
    pub max_txn_operations: usize,
    /// Leases at once; one more is answered with RESOURCE_EXHAUSTED. Default 100,000. At least 1.
    pub max_leases: usize,
    /// Watches at once, over all clients; one more is cancelled with the reason. Default 100,000.
    /// At least 1.
    pub max_watchers: usize,
    /// How often a watch that asked for it is told that nothing happened. Default 10 min, as
    /// etcd's. At least 1 s.
    pub progress_interval: Duration,
    /// How long a revision stays readable before it is compacted. Default 1 h: long enough for a
    /// watcher that was away over a restart. At least 1 min.
    pub history: Duration,
    /// What versions that are not the latest may take in memory, in bytes; the older half is
    /// compacted when they take more, however young. Default 256 MiB.
    pub max_history_bytes: usize,
    /// What all keys with their history may take in memory, in bytes; puts are answered with
    /// RESOURCE_EXHAUSTED when they take more, until something is deleted and compacted and the
    /// alarm NOSPACE is disarmed. Default 1 GiB.
    pub quota_bytes: usize,
}

/// A message is in memory as a whole.
const MOST_REQUEST_BYTES: usize = 64 << 20;

impl Default for EtcdSettings {
    fn default() -> Self {
        Self {
            listen: None,
            max_connections: 16_384,
            max_request_bytes: 3 << 19,
            max_txn_operations: 128,
            max_leases: 100_000,
            max_watchers: 100_000,
            progress_interval: Duration::from_secs(600),
            history: Duration::from_secs(3600),
            max_history_bytes: 256 << 20,
            quota_bytes: 1 << 30,
        }
    }
}

impl EtcdSettings {
    pub(super) fn validate(&self) -> Result<(), InvalidSettings> {
        for (name, value) in [
            ("etcd.max_connections", self.max_connections),
            ("etcd.max_request_bytes", self.max_request_bytes),
            ("etcd.max_txn_operations", self.max_txn_operations),
            ("etcd.max_leases", self.max_leases),
            ("etcd.max_watchers", self.max_watchers),
            ("etcd.quota_bytes", self.quota_bytes),
        ] {
            if value == 0 {
                return Err(InvalidSettings::Zero { name });
            }
        }
        if self.max_request_bytes > MOST_REQUEST_BYTES {
            let (name, value) = ("etcd.max_request_bytes", self.max_request_bytes);
            return Err(InvalidSettings::TooMany { name, value, most: MOST_REQUEST_BYTES });
        }
        for (name, value, least) in [
            ("etcd.progress_interval", self.progress_interval, Duration::from_secs(1)),
            ("etcd.history", self.history, Duration::from_secs(60)),
        ] {
            if value < least {
                return Err(InvalidSettings::TooShort { name, value, least });
            }
        }
        Ok(())
    }
}
