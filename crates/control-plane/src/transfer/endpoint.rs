//! Where a server is, as a URL says it.

use std::fmt;
use std::str::FromStr;

use crate::Secret;

/// A server, as `etcd://HOST:PORT` or `consul://HOST:PORT` name it. `etcds` and `consuls` are the
/// same with TLS. A user and a password, or a token as the password, may stand before the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    kind: Kind,
    has_tls: bool,
    host: String,
    port: u16,
    pub(super) user: String,
    pub(super) secret: Option<Secret>,
}

/// What speaks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// etcd's version 3 interface. Port 2379 unless another is given.
    Etcd,
    /// Consul's HTTP interface. Port 8500 unless another is given.
    Consul,
}

/// The text names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no server; write etcd://HOST:PORT or consul://HOST:PORT")]
pub struct InvalidEndpoint {
    /// The text, without a password.
    pub text: String,
}

impl Endpoint {
    /// What speaks there.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same server with this password or token.
    #[must_use]
    pub fn with_secret(self, secret: Secret) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// Whether a password or a token is known.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The address as HTTP's clients take it.
    pub(super) fn url(&self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    pub(super) fn has_tls(&self) -> bool {
        self.has_tls
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let shown = || match text.rsplit_once('@') {
            Some((before, host)) => {
                let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
                format!("{scheme}://***@{host}")
            }
            None => text.to_owned(),
        };
        let invalid = || InvalidEndpoint { text: shown() };
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let (kind, has_tls, default_port) = match scheme {
            "etcd" => (Kind::Etcd, false, 2379),
            "etcds" => (Kind::Etcd, true, 2379),
            "consul" => (Kind::Consul, false, 8500),
            "consuls" => (Kind::Consul, true, 8500),
            _ => return Err(invalid()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, secret) = match credentials.split_once(':') {
            Some((user, secret)) => (user, Some(Secret::new(secret))),
            None => (credentials, None),
        };
        // A colon within brackets belongs to an address of version 6.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| invalid())?)
            }
            _ => (place, default_port),
        };
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']);
        let is_host = is_host && (host.starts_with('[') || !host.contains(':'));
        if !is_host {
            return Err(invalid());
        }
        let (host, user) = (host.to_owned(), user.to_owned());
        Ok(Self { kind, has_tls, host, port, user, secret })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.kind, self.has_tls) {
            (Kind::Etcd, false) => "etcd",
            (Kind::Etcd, true) => "etcds",
            (Kind::Consul, false) => "consul",
            (Kind::Consul, true) => "consuls",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kind_host_port_and_credentials() {
        let read = |text: &str| text.parse::<Endpoint>().unwrap();
        let etcd = read("etcd://ann:a:hoy@10.0.0.1:2380/");
        assert_eq!((etcd.kind(), etcd.url().as_str()), (Kind::Etcd, "http://10.0.0.1:2380"));
        assert_eq!((etcd.user.as_str(), etcd.secret.clone()), ("ann", Some(Secret::new("a:hoy"))));
        assert_eq!(etcd.to_string(), "etcd://10.0.0.1:2380");
        assert_eq!(read("consuls://[::1]").url(), "https://[::1]:8500");
        assert_eq!(read("consul://:tok@host").secret, Some(Secret::new("tok")));
        assert!(!read("etcd://host").has_secret());
    }

    #[test]
    fn what_names_no_server_is_refused_without_its_password() {
        for text in
            ["", "host:2379", "http://host", "etcd://", "etcd://host:x", "etcd://a b", "etcd://::1"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        let error = "etcd://ann:ahoy@host:x".parse::<Endpoint>().unwrap_err();
        assert_eq!(error.text, "etcd://***@host:x");
    }
}
