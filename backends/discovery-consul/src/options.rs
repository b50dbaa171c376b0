//! Where the registry is and how patient to be with it.

use std::path::PathBuf;
use std::time::Duration;

use regatta_core::Secret;

/// How to talk to Consul.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Sent as `X-Consul-Token`. Default none.
    pub token: Option<Secret>,
    /// The certificates to trust beside those of this machine, in PEM; for `https`. Default none.
    pub ca_pem: Option<Vec<u8>>,
    /// The client's own certificate, in PEM, where the registry asks for one. Default none.
    pub cert_pem: Option<Vec<u8>>,
    /// The key of that, in PEM.
    pub key_pem: Option<Secret>,
    /// How long a blocking query waits for a change. Default 55 s: below the idle timeout of 60 s
    /// that load balancers in between have. 1 s to 10 min, the most that Consul allows.
    pub wait: Duration,
    /// How long any other call may take, and how much longer than `wait` a blocking query.
    /// Default 5 s. More than 0.
    pub timeout: Duration,
    /// The longest wait before the first retry of a failed query; doubles with each further one.
    /// Default 100 ms.
    pub first_backoff: Duration,
    /// The longest wait between two retries. Default 5 s: a registry that is back is seen soon.
    pub max_backoff: Duration,
    /// How long an empty answer is not believed after an outage. Default
    /// [`LastKnown::GRACE`](regatta_discovery::LastKnown::GRACE), 30 s.
    pub grace: Duration,
    /// The largest answer read, in bytes. Default 16 MiB: some 20,000 instances of one service.
    pub max_answer_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: None,
            ca_pem: None,
            cert_pem: None,
            key_pem: None,
            wait: Duration::from_secs(55),
            timeout: Duration::from_secs(5),
            first_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            grace: regatta_discovery::LastKnown::GRACE,
            max_answer_bytes: 16 << 20,
        }
    }
}

/// The registry's address or an option is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// The text is no address of a registry.
    #[error("`{url}` is not a registry's address; write http://127.0.0.1:8500")]
    Url {
        /// What was given.
        url: String,
    },
    /// A duration is out of range.
    #[error("{name} is {value:?}; use {range}")]
    Range {
        /// The option.
        name: &'static str,
        /// Its value.
        value: Duration,
        /// What it may be.
        range: &'static str,
    },
    /// The token has characters that no header can carry.
    #[error("the registry's token has characters that no header can carry; use visible ASCII")]
    Token,
    /// A file of certificates or keys cannot be read.
    #[error("`{}` cannot be read; check its path", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificates to trust are none.
    #[error(
        "there is no certificate to trust the registry by; name a file with some in PEM \
         (registry.ca_file, CONSUL_CACERT)"
    )]
    NoCertificate,
    /// A certificate without its key, or a key without its certificate.
    #[error(
        "a client certificate needs both, registry.cert_file (CONSUL_CLIENT_CERT) and \
         registry.key_file (CONSUL_CLIENT_KEY)"
    )]
    HalfIdentity,
    /// The client's own certificate and its key cannot be used.
    #[error("the client certificate for the registry is not usable; give it and its key in PEM")]
    Identity(#[source] reqwest::Error),
    /// The HTTP client cannot be made.
    #[error("cannot set up the HTTP client of the registry")]
    Client(#[source] reqwest::Error),
}

impl Options {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions::Range`] names the first option out of range.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let wait = Duration::from_secs(1)..=Duration::from_secs(600);
        if !wait.contains(&self.wait) {
            let (name, range) = ("wait", "1 s to 10 min");
            return Err(InvalidOptions::Range { name, value: self.wait, range });
        }
        for (name, value) in [
            ("timeout", self.timeout),
            ("first_backoff", self.first_backoff),
            ("max_backoff", self.max_backoff),
        ] {
            if value.is_zero() {
                return Err(InvalidOptions::Range { name, value, range: "more than 0" });
            }
        }
        Ok(())
    }
}

/// The base URL, without a slash at the end, of `http://h:p`, `https://h:p`, `consul://h:p` or
/// `h:p` (as `CONSUL_HTTP_ADDR` may be written).
pub(crate) fn base_url(text: &str) -> Result<String, InvalidOptions> {
    let wrong = || InvalidOptions::Url { url: text.to_owned() };
    let (scheme, rest) = match text.trim().split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(("consul", rest)) => ("http", rest),
        Some(_) => return Err(wrong()),
        None => ("http", text.trim()),
    };
    let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
    let parsed = reqwest::Url::parse(&url).map_err(|_| wrong())?;
    let plain = parsed.has_host() && parsed.query().is_none() && parsed.fragment().is_none();
    // A password in the address would be printed with it; the token is the place for secrets.
    let anonymous = parsed.username().is_empty() && parsed.password().is_none();
    if plain && anonymous { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_write_the_address() {
        for text in [
            "http://127.0.0.1:8500",
            "127.0.0.1:8500",
            "consul://127.0.0.1:8500/",
            " 127.0.0.1:8500 ",
        ] {
            assert_eq!(base_url(text).unwrap(), "http://127.0.0.1:8500");
        }
        assert_eq!(base_url("https://consul/prefix/").unwrap(), "https://consul/prefix");
        assert_eq!(base_url("[::1]:8500").unwrap(), "http://[::1]:8500");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "etcd://a:1",
            "http://",
            "http://a:99999",
            "http://u:p@a:1",
            "http://a?x=1",
            "a b:1",
        ] {
            let error = base_url(text).unwrap_err();
            assert!(matches!(error, InvalidOptions::Url { .. }), "{text}");
        }
    }

    #[test]
    fn names_the_option_out_of_range() {
        let options = Options { wait: Duration::ZERO, ..Options::default() };
        assert!(options.validate().unwrap_err().to_string().starts_with("wait is 0ns"));
        let options = Options { timeout: Duration::ZERO, ..Options::default() };
        assert!(options.validate().unwrap_err().to_string().starts_with("timeout"));
        assert!(Options::default().validate().is_ok());
    }
}
