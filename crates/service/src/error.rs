//! Why a service cannot start.

use std::fmt;
use std::net::SocketAddr;

use regatta_core::{Chain, InvalidName};

/// What `main` returns. An error prints as a list that an operator can work through.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Why a service cannot start. `Debug` is for people: `main` prints it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings are wrong or missing; all of them are told.
    #[error("the settings of this service are not right; {} to correct", count(.0))]
    Settings(#[source] regatta_config::Problems),
    /// The name is not one that a service can have.
    #[error("the service cannot have this name")]
    Name(#[from] InvalidName),
    /// Telemetry cannot start.
    #[error("telemetry cannot start")]
    Telemetry(#[source] regatta_telemetry::Error),
    /// A setting of telemetry is out of range.
    #[error("a setting of `telemetry` or `log` is not right")]
    TelemetryOption(#[source] regatta_telemetry::InvalidOption),
    /// The registry's address or another of its settings is not right.
    #[error(
        "`registry.url` is `{url}`, which is not usable; write consul://host:port, \
             dns:{{service}}:port, static:name=host:port, memory: or none"
    )]
    Registry {
        /// The address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The config center's address or another of its settings is not right.
    #[error("a setting of `config_center` is not right")]
    ConfigCenter {
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program wants a config center, and none is set.
    #[error(
        "there is no config center; set config_center.url (ETCDCTL_ENDPOINTS) to etcd://host:2379"
    )]
    NoConfigCenter,
    /// A setting of the registration is out of range.
    #[error("a setting of `registry` is not right")]
    Registrar(#[source] regatta_discovery::InvalidSettings),
    /// A setting of the client is out of range.
    #[error("a setting of `client` is not right")]
    Client(#[source] regatta_client::InvalidPolicies),
    /// A setting of the limit of requests at a time is out of range.
    #[error("a setting of `shed` is not right")]
    Shed(#[source] regatta_resilience::concurrency::InvalidSettings),
    /// A setting of the limit of each client's requests is out of range.
    #[error("a setting of `rate_limit` is not right")]
    RateLimit(#[source] regatta_resilience::rate_limit::InvalidSettings),
    /// The limits that replicas share cannot be kept where `limits.url` says.
    #[error("`limits.url` or another setting of `limits` is not right")]
    Limits {
        /// What is wrong; never the URL, which may hold a password.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database's address or a setting of its pools is not right.
    #[cfg(feature = "database")]
    #[error("`database.url` or another setting of `database` is not right")]
    Database(#[source] regatta_database::OpenError),
    /// The cache's address or another of its settings is not right.
    #[cfg(feature = "cache")]
    #[error("`cache.url` or another setting of `cache` is not right")]
    Cache(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The event bus's address is not right.
    #[cfg(feature = "events")]
    #[error(
        "`events.url` is not usable; write sqlite:///path/events.db, postgres://user@host/name, \
             nats://host:4222 or memory:"
    )]
    Events(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address is in use, or not this machine's.
    #[error(
        "cannot listen on {address}; set server.host and server.port (HOST, PORT), or admin.listen \
             (ADMIN_LISTEN), to a free address of this machine"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The address that others should reach this instance at is not one.
    #[error("`service.advertise` is not a host")]
    Advertise(#[source] regatta_core::InvalidEndpoint),
    /// Tokens cannot be verified.
    #[error("tokens cannot be verified")]
    Guard(#[from] crate::InvalidGuard),
    /// The file descriptors for gRPC reflection do not decode.
    #[error(
        "the descriptors given to `reflection` are not a FileDescriptorSet; give what \
             the code generator wrote"
    )]
    Reflection(#[source] tonic_reflection::server::Error),
    /// Something of the service's own that it cannot start without.
    #[error("the service cannot start")]
    Own(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error of the service's own, to return from `main`.
    pub fn own(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Own(error.into())
    }

    /// Whether a setting has to be corrected, as opposed to something around the service.
    pub fn is_setting(&self) -> bool {
        match self {
            Self::Settings(_)
            | Self::TelemetryOption(_)
            | Self::Registry { .. }
            | Self::ConfigCenter { .. }
            | Self::NoConfigCenter
            | Self::Registrar(_)
            | Self::Client(_)
            | Self::Shed(_)
            | Self::RateLimit(_)
            | Self::Limits { .. }
            | Self::Advertise(_)
            | Self::Guard(_) => true,
            // What telemetry refuses at start are its options, but for a missing runtime.
            Self::Telemetry(error) => matches!(error, regatta_telemetry::Error::Option(_)),
            #[cfg(feature = "database")]
            Self::Database(_) => true,
            #[cfg(feature = "cache")]
            Self::Cache(_) => true,
            #[cfg(feature = "events")]
            Self::Events(_) => true,
            Self::Name(_) | Self::Listen { .. } | Self::Reflection(_) | Self::Own(_) => false,
        }
    }

    /// Prints an error of the settings as `main` does, and ends the process with exit code 2: a
    /// `main` that returns the error could only end with 1, which supervisors take for a crash.
    pub(crate) fn end_process_if_setting(self) -> Self {
        if self.is_setting() {
            eprintln!("Error: {self:?}");
            std::process::exit(2)
        }
        self
    }
}

impl From<regatta_config::Problems> for Error {
    fn from(problems: regatta_config::Problems) -> Self {
        Self::Settings(problems)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(problems) => {
                write!(f, "{self}:")?;
                for problem in problems.as_slice() {
                    write!(f, "\n  {problem}")?;
                }
                Ok(())
            }
            _ => write!(f, "{}", Chain(self)),
        }
    }
}

fn count(problems: &regatta_config::Problems) -> String {
    match problems.as_slice().len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
}

#[cfg(test)]
mod tests {
    use regatta_config::Config;

    use super::*;
    use crate::settings::Groups;

    #[test]
    fn every_problem_of_the_settings_is_on_a_line_of_its_own() {
        let yaml = "server:\n  port: many\n  max_conections: 3\n";
        let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
        let problems = config.load::<Groups>().unwrap_err();
        let printed = format!("{:?}", Error::from(problems));
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[0], "the settings of this service are not right; 2 problems to correct:");
        assert!(
            lines[1].contains("config.yaml:2") && lines[1].contains("server.port"),
            "{printed}"
        );
        assert!(lines[2].contains("did you mean `server.max_connections`"), "{printed}");
    }

    #[test]
    fn other_errors_print_with_their_causes() {
        let error = Error::own(std::io::Error::other("the disk is full"));
        assert_eq!(format!("{error:?}"), "the service cannot start: the disk is full");
    }
}
