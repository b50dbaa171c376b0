//! From the text of a URL to endpoints and a user: pure rules.

use regatta_core::{Endpoint, Secret};

use crate::InvalidOptions;

/// The port when a URL names none.
const PORT: u16 = 2379;

/// Where the center is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// At least one.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) is_tls: bool,
    pub(crate) user: Option<(String, Secret)>,
}

impl Address {
    /// One endpoint or several, with a comma between them.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidOptions> {
        let mut found: Option<Self> = None;
        for part in text.split(',') {
            let one = Self::parse_one(part.trim(), found.as_ref().map(|it| it.is_tls))?;
            match &mut found {
                None => found = Some(one),
                Some(all) if all.is_tls != one.is_tls => return Err(InvalidOptions::Mixed),
                Some(all) => {
                    all.endpoints.extend(one.endpoints);
                    all.user = all.user.take().or(one.user);
                }
            }
        }
        found.ok_or_else(|| invalid(text))
    }

    /// `before` is what the endpoints before it are: `etcds://a,b` is TLS as a whole.
    fn parse_one(text: &str, before: Option<bool>) -> Result<Self, InvalidOptions> {
        let (is_tls, rest) = match text.split_once("://") {
            None => (before.unwrap_or(false), text),
            Some(("etcd" | "http", rest)) => (false, rest),
            Some(("etcds" | "https", rest)) => (true, rest),
            Some(_) => return Err(invalid(text)),
        };
        let rest = rest.trim_end_matches('/');
        let (user, host) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((user, host)) => {
                let (name, password) = user.split_once(':').ok_or(InvalidOptions::HalfUser)?;
                let password = Secret::new(decode(password).ok_or_else(|| invalid(text))?);
                (Some((decode(name).ok_or_else(|| invalid(text))?, password)), host)
            }
        };
        if host.is_empty() || host.contains(['/', '?', '#']) {
            return Err(invalid(text));
        }
        let has_port = match host.rsplit_once(']') {
            Some((_, after)) => after.starts_with(':'),
            None => host.contains(':'),
        };
        let whole = if has_port { host.to_owned() } else { format!("{host}:{PORT}") };
        let endpoint = whole.parse().map_err(|_| invalid(text))?;
        Ok(Self { endpoints: vec![endpoint], is_tls, user })
    }
}

fn invalid(text: &str) -> InvalidOptions {
    InvalidOptions::Endpoint { endpoint: regatta_config::redact_urls(text) }
}

/// Resolves percent-encoding (RFC 3986, section 2.1); none where it is not well formed.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let address = Address::parse(text).unwrap();
        let hosts: Vec<_> = address.endpoints.iter().map(ToString::to_string).collect();
        let user = address.user.map(|(name, password)| format!("{name}:{}@", password.expose()));
        let scheme = if address.is_tls { "tls" } else { "plain" };
        format!("{scheme} {}{}", user.unwrap_or_default(), hosts.join(","))
    }

    #[test]
    fn an_endpoint_is_written_in_many_ways() {
        for text in ["etcd://db:2379", "http://db:2379/", "db:2379", "db", " etcd://db "] {
            assert_eq!(shown(text), "plain db:2379", "{text}");
        }
        assert_eq!(shown("https://[::1]"), "tls [::1]:2379");
        assert_eq!(shown("etcds://[::1]:1"), "tls [::1]:1");
    }

    #[test]
    fn several_are_one_cluster() {
        assert_eq!(shown("http://a:1,http://b:2"), "plain a:1,b:2");
        assert_eq!(shown("etcds://u:p@a:1,b:2"), "tls u:p@a:1,b:2");
        assert_eq!(Address::parse("http://a,https://b"), Err(InvalidOptions::Mixed));
    }

    #[test]
    fn a_user_and_a_password_are_percent_decoded() {
        assert_eq!(shown("etcd://a%40b:p%3A@db"), "plain a@b:p:@db:2379");
        assert_eq!(Address::parse("etcd://ada@db"), Err(InvalidOptions::HalfUser));
    }

    #[test]
    fn what_is_no_endpoint_is_told_without_its_password() {
        for text in ["", "redis://db", "etcd://", "db:many", "db/path", "a,,b", "etcd://u:%zz@db"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        let error = Address::parse("etcd://ada:hunter2@db:many").unwrap_err().to_string();
        assert!(error.contains("db:many") && !error.contains("hunter2"), "{error}");
    }
}
