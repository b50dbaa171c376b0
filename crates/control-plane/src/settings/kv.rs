//! What the operator may set about Consul's keys and sessions.

use super::InvalidSettings;

/// What the operator may set about Consul's keys and sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KvSettings {
    /// The largest value, in bytes; more is answered with 413. Default 512 KiB, as Consul's. At
    /// most 16 MiB.
    pub max_value_bytes: usize,
    /// The longest key, in bytes; more is answered with 400. Default 8 KiB: as long as many
    /// clients and proxies let a request line be. At least 1.
    pub max_key_bytes: usize,
    /// Operations in a transaction; more is answered with 413. Default 64, as Consul's. At least 1.
    pub max_txn_operations: usize,
    /// Sessions at once; one more is answered with 500. Default 100,000. At least 1.
    pub max_sessions: usize,
    /// What all keys with their values may take in memory, in bytes; what would take more is
    /// answered with 500, until something is deleted. Default 1 GiB. At least 1.
    pub quota_bytes: usize,
}

/// A value is in memory as a whole.
const MOST_VALUE_BYTES: usize = 16 << 20;

impl Default for KvSettings {
    fn default() -> Self {
        Self {
            max_value_bytes: 512 << 10,
            max_key_bytes: 8 << 10,
            max_txn_operations: 64,
            max_sessions: 100_000,
            quota_bytes: 1 << 30,
        }
    }
}

impl KvSettings {
    pub(super) fn validate(&self) -> Result<(), InvalidSettings> {
        for (name, value) in [
            ("kv.max_value_bytes", self.max_value_bytes),
            ("kv.max_key_bytes", self.max_key_bytes),
            ("kv.max_txn_operations", self.max_txn_operations),
            ("kv.max_sessions", self.max_sessions),
            ("kv.quota_bytes", self.quota_bytes),
        ] {
            if value == 0 {
                return Err(InvalidSettings::Zero { name });
            }
        }
        if self.max_value_bytes > MOST_VALUE_BYTES {
            let (name, value) = ("kv.max_value_bytes", self.max_value_bytes);
            return Err(InvalidSettings::TooMany { name, value, most: MOST_VALUE_BYTES });
        }
        Ok(())
    }
}
