//! Group `database`: the limits of the pools, beside where the database is.

use std::time::Duration;

use regatta_config::settings;
use regatta_database::Options;

settings! {
    /// Limits of the database's pools.
    pub struct PoolSettings in "database" {
        /// Connections at once; replicas times this must stay under the server's own limit.
        pub max_connections: u32 = 10, range 1..=1000;
        /// How long a query waits for a connection.
        pub acquire_timeout: Duration = Duration::from_secs(5), range POSITIVE..;
        /// How long PostgreSQL works on one statement.
        pub statement_timeout: Duration = Duration::from_secs(10), range POSITIVE..;
        /// How long a statement waits for another transaction.
        pub lock_timeout: Duration = Duration::from_secs(5), range POSITIVE..;
        /// After how long an idle connection is closed.
        pub idle_timeout: Duration = Duration::from_secs(600), range POSITIVE..;
        /// After how long a connection is replaced, so that load spreads after a failover.
        pub max_lifetime: Duration = Duration::from_secs(1800), range POSITIVE..;
        /// How long a replica waits for another one that migrates.
        pub migration_timeout: Duration = Duration::from_secs(300), range POSITIVE..;
    }
}

/// A wait of no time never succeeds.
const POSITIVE: Duration = Duration::from_millis(1);

impl PoolSettings {
    pub(crate) fn options(&self, application: &str) -> Options {
        let mut options = Options::default();
        options.max_connections = self.max_connections;
        options.acquire_timeout = self.acquire_timeout;
        options.statement_timeout = self.statement_timeout;
        options.lock_timeout = self.lock_timeout;
        options.idle_timeout = self.idle_timeout;
        options.max_lifetime = self.max_lifetime;
        options.migration_timeout = self.migration_timeout;
        options.application_name = application.to_owned();
        options
    }
}
