//! Where an instance listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// A host and a port, such as `127.0.0.1:8080`, `[::1]:80` or `db.internal:5432`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
}

/// The text is not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// There is no `:` before a port.
    #[error("`{text}` has no port; write host:port, such as 127.0.0.1:8080")]
    NoPort {
        /// What was given.
        text: String,
    },
    /// The part after the last `:` is not a port.
    #[error("port `{port}` is not a port; use 1 to 65535")]
    BadPort {
        /// What stands where the port belongs.
        port: String,
    },
    /// The part before the port is not a host.
    #[error("`{host}` is not a host; use a name, an IPv4 address or an IPv6 address in brackets")]
    BadHost {
        /// What stands where the host belongs.
        host: String,
    },
}

impl Endpoint {
    /// Makes an endpoint of its parts; an IPv6 address comes without brackets.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`] when the host is empty or has characters no host has, or the port is 0.
    pub fn try_new(host: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if host.is_empty() || !(named || host.parse::<IpAddr>().is_ok()) {
            return Err(InvalidEndpoint::BadHost { host: host.to_owned() });
        }
        if port == 0 {
            return Err(InvalidEndpoint::BadPort { port: "0".to_owned() });
        }
        Ok(Self { host: host.into(), port })
    }

    /// Host name or address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The socket address, when the host is an IP address and needs no name service.
    pub fn as_socket_addr(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string().into(), port: address.port() }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let no_port = || InvalidEndpoint::NoPort { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        let number = port.parse::<u16>().ok().filter(|_| !port.starts_with('+'));
        let number = number.ok_or_else(|| InvalidEndpoint::BadPort { port: port.to_owned() })?;
        match host.strip_prefix('[') {
            Some(rest) => {
                let bad = || InvalidEndpoint::BadHost { host: host.to_owned() };
                Self::try_new(rest.strip_suffix(']').ok_or_else(bad)?, number)
            }
            None if host.contains(':') => Err(no_port()),
            None => Self::try_new(host, number),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parsed() {
        for text in ["127.0.0.1:80", "[::1]:8080", "user_service.local:1", "a:65535"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_which_part_is_wrong() {
        let error = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(error("localhost").contains("no port"));
        assert!(error("::1").contains("no port"));
        assert!(error("a:70000").contains("`70000` is not a port"));
        assert!(error("a:0").contains("`0` is not a port"));
        assert!(error("a:+1").contains("`+1` is not a port"));
        assert!(error(":80").contains("not a host"));
        assert!(error("a b:80").contains("not a host"));
        assert!(error("[::1:80").contains("not a host"));
    }

    #[test]
    fn an_address_needs_no_name_service() {
        let endpoint: Endpoint = "[::1]:80".parse().unwrap();
        assert_eq!(endpoint.as_socket_addr(), Some("[::1]:80".parse().unwrap()));
        assert_eq!("db:80".parse::<Endpoint>().unwrap().as_socket_addr(), None);
    }
}
