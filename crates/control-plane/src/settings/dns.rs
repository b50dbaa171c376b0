//! What the operator may set about the DNS interface.

use std::net::SocketAddr;
use std::time::Duration;

use super::InvalidSettings;

/// What the operator may set about the DNS interface.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DnsSettings {
    /// Where names of services and nodes are answered, over UDP and TCP; port 0 takes one that is
    /// free for both. Default none: no DNS is offered.
    pub listen: Option<SocketAddr>,
    /// TCP connections at once; more wait to be accepted. Default 256. At least 1.
    pub max_connections: usize,
    /// How long a TCP connection may be silent before it is closed. Default 10 s: clients ask at
    /// once what they ask (RFC 7766, 6.2.3). At least 1 s.
    pub idle_timeout: Duration,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self { listen: None, max_connections: 256, idle_timeout: Duration::from_secs(10) }
    }
}

impl DnsSettings {
    pub(super) fn validate(&self) -> Result<(), InvalidSettings> {
        if self.max_connections == 0 {
            return Err(InvalidSettings::Zero { name: "dns.max_connections" });
        }
        let (value, least) = (self.idle_timeout, Duration::from_secs(1));
        if value < least {
            return Err(InvalidSettings::TooShort { name: "dns.idle_timeout", value, least });
        }
        Ok(())
    }
}
