//! Which registry a URL means.

use std::fmt;
use std::str::FromStr;

/// Which registry `registry.url` means. Programs choose the backend by it, each with the whole URL:
/// `StaticRegistry` here, `ConsulRegistry` and `DnsRegistry` in crates of their own.
///
/// ```
/// use regatta_discovery::Scheme;
///
/// assert_eq!("consul://127.0.0.1:8500".parse(), Ok(Scheme::Consul));
/// assert_eq!("dns:{service}:8080".parse(), Ok(Scheme::Dns));
/// let error = "zookeeper://127.0.0.1".parse::<Scheme>().unwrap_err().to_string();
/// assert!(error.contains("consul://"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `consul://`, `http://`, `https://`, or just `host:port`: Consul's HTTP API.
    Consul,
    /// `dns:`: SRV records, or addresses at a fixed port.
    Dns,
    /// `static:`: a list.
    Static,
    /// `memory:`: the registry of this process.
    Memory,
    /// `none`: there is no registry.
    None,
}

/// The text is no registry's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{url}` is no registry's URL; use consul://HOST:PORT, http://HOST:PORT, https://HOST:PORT, \
     dns:NAME with {{service}} in it, static:NAME=HOST:PORT, memory: or none"
)]
pub struct UnknownScheme {
    /// What was given.
    pub url: String,
}

impl Scheme {
    /// The name in logs and health, such as `consul`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Consul => "consul",
            Self::Dns => "dns",
            Self::Static => "static",
            Self::Memory => "memory",
            Self::None => "none",
        }
    }

    /// Whether instances can be registered there.
    pub fn registers(self) -> bool {
        matches!(self, Self::Consul | Self::Memory)
    }
}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(url: &str) -> Result<Self, UnknownScheme> {
        let unknown = || UnknownScheme { url: url.to_owned() };
        let url = url.trim();
        match url.split_once(':') {
            _ if url == "none" => Ok(Self::None),
            _ if url == "memory" || url == "memory:" => Ok(Self::Memory),
            Some(("consul" | "http" | "https", rest)) if rest.starts_with("//") => Ok(Self::Consul),
            Some(("dns", _)) => Ok(Self::Dns),
            Some(("static", _)) => Ok(Self::Static),
            // As `CONSUL_HTTP_ADDR` may be written.
            Some(_) if url.parse::<regatta_core::Endpoint>().is_ok() => Ok(Self::Consul),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_way_to_write_a_registry() {
        for (url, scheme) in [
            ("consul://127.0.0.1:8500", Scheme::Consul),
            (" https://consul.internal/prefix ", Scheme::Consul),
            ("127.0.0.1:8500", Scheme::Consul),
            ("[::1]:8500", Scheme::Consul),
            ("dns:{service}:8080", Scheme::Dns),
            ("dns://10.0.0.1/_http._tcp.{service}", Scheme::Dns),
            ("static:users=127.0.0.1:1", Scheme::Static),
            ("memory:", Scheme::Memory),
            ("none", Scheme::None),
        ] {
            assert_eq!(url.parse(), Ok(scheme), "{url}");
        }
        assert!(Scheme::Consul.registers() && !Scheme::Dns.registers());
    }

    #[test]
    fn names_what_it_does_not_know_with_what_would_do() {
        for url in ["", "zookeeper://a:1", "consul:a", "users", "memory:x", "nothing"] {
            let error = url.parse::<Scheme>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{url}` is no registry's URL")), "{error}");
            assert!(error.contains("dns:NAME with {service} in it"), "{error}");
        }
    }
}
