//! What an operator may set about a database, with the defaults.

use std::time::Duration;

/// Limits of the pools. Every wait ends; the defaults suit a service of a few hundred requests a
/// second.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Connections to PostgreSQL, and readers of SQLite (which has one writer besides). Default 10;
    /// 1 to 1000. Replicas times this must stay under the server's `max_connections` (100 in a
    /// fresh PostgreSQL).
    pub max_connections: u32,
    /// How long a query waits for a connection. Default 5 s: past it the caller has better things
    /// to do. More than 0.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL works on one statement. Default 10 s. More than 0.
    pub statement_timeout: Duration,
    /// How long a statement waits for another transaction: PostgreSQL's `lock_timeout`, SQLite's
    /// `busy_timeout`. Default 5 s. More than 0.
    pub lock_timeout: Duration,
    /// How long PostgreSQL leaves a transaction open that does nothing. Default 30 s. More than 0.
    pub idle_transaction_timeout: Duration,
    /// After how long an idle connection is closed. Default 10 min. More than 0.
    pub idle_timeout: Duration,
    /// After how long a connection is replaced, so that load spreads after a failover. Default
    /// 30 min. More than 0.
    pub max_lifetime: Duration,
    /// How long a replica waits for another one that migrates, and how long one migration may take.
    /// Default 5 min. More than 0.
    pub migration_timeout: Duration,
    /// What PostgreSQL shows as `application_name`. Default `regatta`.
    pub application_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_transaction_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(1800),
            migration_timeout: Duration::from_secs(300),
            application_name: "regatta".to_owned(),
        }
    }
}

/// An option is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// The pool would be empty, or larger than any server takes.
    #[error("max_connections `{0}` is out of range; use 1 to 1000")]
    MaxConnections(u32),
    /// A wait of no time never succeeds.
    #[error("{0} is 0; set it to 1 ms or more")]
    Zero(&'static str),
}

impl Options {
    /// Checks every option.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] names the first option out of range.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        if !(1..=1000).contains(&self.max_connections) {
            return Err(InvalidOption::MaxConnections(self.max_connections));
        }
        let durations = [
            ("acquire_timeout", self.acquire_timeout),
            ("statement_timeout", self.statement_timeout),
            ("lock_timeout", self.lock_timeout),
            ("idle_transaction_timeout", self.idle_transaction_timeout),
            ("idle_timeout", self.idle_timeout),
            ("max_lifetime", self.max_lifetime),
            ("migration_timeout", self.migration_timeout),
        ];
        // PostgreSQL counts in milliseconds and takes 0 for "no limit".
        match durations.iter().find(|(_, duration)| duration.as_millis() == 0) {
            Some((name, _)) => Err(InvalidOption::Zero(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Options::default().validate(), Ok(()));
    }

    #[test]
    fn names_the_first_option_out_of_range() {
        let none = Options { max_connections: 0, ..Options::default() };
        assert_eq!(none.validate(), Err(InvalidOption::MaxConnections(0)));
        let crowd = Options { max_connections: 1001, ..Options::default() };
        assert_eq!(crowd.validate(), Err(InvalidOption::MaxConnections(1001)));
        // Under a millisecond PostgreSQL would read "no limit".
        let brief = Options { statement_timeout: Duration::from_micros(999), ..Options::default() };
        assert_eq!(brief.validate(), Err(InvalidOption::Zero("statement_timeout")));
    }
}
