//! What the operator may set about the control plane.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::TlsSettings;

mod dns;
pub use dns::DnsSettings;

mod etcd;
pub use etcd::EtcdSettings;

mod kv;
pub use kv::KvSettings;

mod limits;

/// What the operator may set about the control plane.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where Consul's HTTP API listens. Default `127.0.0.1:8500`; port 0 takes a free one.
    pub consul_listen: SocketAddr,
    /// The address of the node that registered services are on, where they have none of their own.
    /// Default: the one that [`Settings::consul_listen`] names; with `0.0.0.0` the one from which
    /// this machine reaches others.
    pub advertise: Option<IpAddr>,
    /// The folder that holds the store; made when absent. Default `.regatta/data/control-plane`.
    pub data_dir: PathBuf,
    /// The name of the node that registered services are on. Default `regatta`.
    pub node_name: String,
    /// The one datacenter. Default `dc1`, as Consul's.
    pub datacenter: String,
    /// Connections at once; more wait to be accepted. Default 16384. At least 1.
    pub max_connections: usize,
    /// Blocking queries held at once; one more is answered with 429. Default 8192.
    pub max_blocked_queries: usize,
    /// The largest request body, in bytes; more is answered with 413. Default 1 MiB.
    pub max_body_bytes: usize,
    /// Time a client has for its request line and headers, from its first byte or, on a new
    /// connection, from the start. Default 30 s. At least 1 ms.
    pub header_read_timeout: Duration,
    /// Time a client has for a request's body, of etcd's interface the one message of a call that
    /// is no stream; more is answered with 408, or DEADLINE_EXCEEDED. Default 60 s: a megabyte over
    /// a slow link. At least 1 ms.
    pub body_read_timeout: Duration,
    /// How long an idle connection is kept. Default 5 min: longer than the pauses of clients that
    /// report every 30 s or every minute, so that they do not meet its end. At least 1 ms.
    pub idle_timeout: Duration,
    /// Health checks that run at once; more wait for their turn. Default 256. At least 1.
    pub max_running_checks: usize,
    /// Services that may be registered; one more is answered with 500. Default 100,000.
    pub max_services: usize,
    /// Nodes that may be registered; one more is answered with 500. Default 10,000. At least 1.
    pub max_nodes: usize,
    /// What all nodes, services and checks may take in memory, in bytes, about; what would take
    /// more is answered with 500, until something is deregistered. Default 512 MiB: 100,000
    /// services with a check each, of 2.5 KiB each. At least 1.
    pub registry_quota_bytes: usize,
    /// The least that `DeregisterCriticalServiceAfter` counts as. Default 1 min, as Consul's.
    pub min_deregister_after: Duration,
    /// How long requests in flight may take after drain begins. Default 5 s.
    pub drain_timeout: Duration,
    /// The access file: tokens, users and their rules. Read again within 1 s when it changes.
    /// Default none: everybody may do everything, which is refused on any address but loopback.
    pub access: Option<PathBuf>,
    /// The certificates of both interfaces. Default none: no TLS.
    pub tls: Option<TlsSettings>,
    /// Consul's keys and sessions.
    pub kv: KvSettings,
    /// etcd's interface and its keys. Default: not offered.
    pub etcd: EtcdSettings,
    /// The DNS interface. Default: not offered.
    pub dns: DnsSettings,
}

/// A setting of the control plane is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// A number has to be at least 1.
    #[error("{name} is 0; set it to 1 or more")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// A number is above what is allowed.
    #[error("{name} is {value}; set it to {most} or less")]
    TooMany {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The most allowed.
        most: usize,
    },
    /// A time is below what is allowed.
    #[error("{name} is {value:?}; set it to {least:?} or more")]
    TooShort {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: Duration,
        /// The least allowed.
        least: Duration,
    },
    /// Everybody who reaches the address could do everything.
    #[error(
        "`{address}` is not loopback and there is no access file; name one (`regatta control \
         --access FILE`, see the guide's page on access) or listen on 127.0.0.1"
    )]
    NoAccess {
        /// The address asked for.
        address: SocketAddr,
    },
    /// There is no limit of a name.
    #[error("`{name}` is no limit; {remedy}")]
    UnknownLimit {
        /// The name.
        name: String,
        /// The nearest one, or all.
        remedy: String,
    },
    /// A limit's value is not what it takes.
    #[error("{name} is `{value}`; write {wanted}")]
    LimitValue {
        /// The limit.
        name: String,
        /// The value.
        value: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// A name has characters that no DNS name has.
    #[error("{name} is `{value}`; use 1 to 63 letters, digits and `-`")]
    Name {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consul_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8500)),
            advertise: None,
            data_dir: PathBuf::from(".regatta/data/control-plane"),
            node_name: "regatta".to_owned(),
            datacenter: "dc1".to_owned(),
            max_connections: 16_384,
            max_blocked_queries: 8192,
            max_body_bytes: 1 << 20,
            header_read_timeout: Duration::from_secs(30),
            body_read_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            max_running_checks: 256,
            max_services: 100_000,
            max_nodes: 10_000,
            registry_quota_bytes: 512 << 20,
            min_deregister_after: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(5),
            access: None,
            tls: None,
            kv: KvSettings::default(),
            etcd: EtcdSettings::default(),
            dns: DnsSettings::default(),
        }
    }
}

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        for (name, value) in [
            ("max_connections", self.max_connections),
            ("max_body_bytes", self.max_body_bytes),
            ("max_running_checks", self.max_running_checks),
            ("max_services", self.max_services),
            ("max_nodes", self.max_nodes),
            ("registry_quota_bytes", self.registry_quota_bytes),
        ] {
            if value == 0 {
                return Err(InvalidSettings::Zero { name });
            }
        }
        for (name, value) in [
            ("header_read_timeout", self.header_read_timeout),
            ("body_read_timeout", self.body_read_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            let least = Duration::from_millis(1);
            if value < least {
                return Err(InvalidSettings::TooShort { name, value, least });
            }
        }
        for (name, value) in [("node_name", &self.node_name), ("datacenter", &self.datacenter)] {
            let valid = (1..=63).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !valid {
                return Err(InvalidSettings::Name { name, value: value.clone() });
            }
        }
        self.dns.validate()?;
        let addresses = [Some(self.consul_listen), self.etcd.listen, self.dns.listen];
        let beyond = addresses.into_iter().flatten().find(|address| !is_loopback(address.ip()));
        if let (Some(address), None) = (beyond, &self.access) {
            return Err(InvalidSettings::NoAccess { address });
        }
        self.kv.validate()?;
        self.etcd.validate()
    }
}

/// Whether only this machine reaches an address, also one of version 4 written as version 6.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
