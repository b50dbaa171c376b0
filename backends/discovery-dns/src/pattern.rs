//! What a `dns:` URL says: the name of a service's records, and whom to ask.

use std::net::{IpAddr, SocketAddr};

use regatta_core::ServiceName;

const PLACE: &str = "{service}";

/// What a `dns:` URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Whom to ask; none: the system's name servers.
    pub(crate) server: Option<SocketAddr>,
    /// The name, with a place for the service's.
    name: String,
    /// The port of the addresses; none: SRV records say.
    pub(crate) port: Option<u16>,
}

/// The text is no `dns:` URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It begins otherwise, or there is nothing after a server.
    #[error("`{url}` is no dns: URL; write dns:NAME, dns:NAME:PORT or dns://SERVER:PORT/NAME")]
    Form {
        /// What was given.
        url: String,
    },
    /// All services would be the same.
    #[error("`{name}` has no place for the service; write {{service}} where its name belongs")]
    NoService {
        /// The name.
        name: String,
    },
    /// The name is not one that a zone could have.
    #[error("`{name}` is not a domain name; use letters, digits, `-`, `_` and dots")]
    Name {
        /// The name.
        name: String,
    },
    /// The port is not a port.
    #[error("port `{port}` is not a port; use 1 to 65535, or none for SRV records")]
    Port {
        /// What stands where the port belongs.
        port: String,
    },
    /// The server is not an address.
    #[error("`{server}` is not a name server's address; use one such as 10.0.0.10 or [::1]:53")]
    Server {
        /// What stands where the server belongs.
        server: String,
    },
}

impl Pattern {
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let wrong = || InvalidUrl::Form { url: url.to_owned() };
        let rest = url.trim().strip_prefix("dns:").ok_or_else(wrong)?;
        let (server, rest) = match rest.strip_prefix("//") {
            None => (None, rest),
            Some(rest) => {
                let (server, rest) = rest.split_once('/').ok_or_else(wrong)?;
                // `dns:///name` is the system's, as in gRPC's naming.
                (if server.is_empty() { None } else { Some(parse_server(server)?) }, rest)
            }
        };
        let (name, port) = match rest.rsplit_once(':') {
            None => (rest, None),
            Some((name, port)) => {
                let number = port.parse().ok().filter(|number| *number > 0);
                let wrong = || InvalidUrl::Port { port: port.to_owned() };
                (name, Some(number.ok_or_else(wrong)?))
            }
        };
        if name.is_empty() {
            return Err(wrong());
        }
        if !name.contains(PLACE) {
            return Err(InvalidUrl::NoService { name: name.to_owned() });
        }
        let example = name.replace(PLACE, "a");
        let label = |label: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !label.is_empty() && label.len() < 64 && label.bytes().all(is_plain)
        };
        let labels = example.strip_suffix('.').unwrap_or(&example);
        if !labels.split('.').all(label) || labels.len() > 253 {
            return Err(InvalidUrl::Name { name: name.to_owned() });
        }
        Ok(Self { server, name: name.to_owned(), port })
    }

    /// The name to look up for a service.
    pub(crate) fn name(&self, service: &ServiceName) -> String {
        self.name.replace(PLACE, service.as_str())
    }
}

fn parse_server(text: &str) -> Result<SocketAddr, InvalidUrl> {
    const DNS_PORT: u16 = 53;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, DNS_PORT));
    }
    text.parse().map_err(|_| InvalidUrl::Server { server: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(url: &str) -> (Option<String>, String, Option<u16>) {
        let pattern = Pattern::parse(url).unwrap();
        let name = pattern.name(&"users".parse().unwrap());
        (pattern.server.map(|server| server.to_string()), name, pattern.port)
    }

    #[test]
    fn reads_name_port_and_server() {
        assert_eq!(parse("dns:{service}:8080"), (None, "users".into(), Some(8080)));
        let srv = parse("dns:_http._tcp.{service}.shop.svc.cluster.local.");
        assert_eq!(srv, (None, "_http._tcp.users.shop.svc.cluster.local.".into(), None));
        let consul = parse("dns://127.0.0.1:8600/{service}.service.consul");
        assert_eq!(consul, (Some("127.0.0.1:8600".into()), "users.service.consul".into(), None));
        assert_eq!(parse("dns://10.0.0.1/{service}").0, Some("10.0.0.1:53".into()));
        assert_eq!(parse("dns://[::1]/{service}").0, Some("[::1]:53".into()));
        assert_eq!(parse("dns://[::1]:5353/{service}").0, Some("[::1]:5353".into()));
        assert_eq!(parse("dns:///{service}:80"), (None, "users".into(), Some(80)));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |url: &str| Pattern::parse(url).unwrap_err().to_string();
        assert!(error("http://a").contains("is no dns: URL"));
        assert!(error("dns:").contains("is no dns: URL"));
        assert!(error("dns://10.0.0.1").contains("is no dns: URL"));
        assert!(error("dns:users:80").contains("no place for the service; write {service}"));
        assert!(error("dns:{service}:0").contains("port `0`"));
        assert!(error("dns:{service}:http").contains("port `http`"));
        assert!(error("dns:{service}..x").contains("not a domain name"));
        assert!(error("dns:{service} x").contains("not a domain name"));
        assert!(error("dns://ns.local/{service}").contains("`ns.local` is not a name server"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,40}") {
            let _either = Pattern::parse(&text);
            let _either = Pattern::parse(&format!("dns:{text}"));
            let _either = Pattern::parse(&format!("dns://{text}"));
        }
    }
}
