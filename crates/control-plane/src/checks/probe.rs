//! Asks one instance once, over TCP, HTTP or gRPC.

use std::sync::Arc;
use std::time::Duration;

use regatta_core::Chain;
use reqwest::redirect::Policy;

use super::grpc::{Grpc, Security};
use super::lookup::Lookup;
use crate::registry::{CheckKind, Status};

/// The most of an answer's body that is kept as a check's output, in bytes (Consul's value).
const MAX_OUTPUT: usize = 4096;

/// Asks instances; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    strict: reqwest::Client,
    /// For checks that ask for `TLSSkipVerify`.
    lax: reqwest::Client,
    grpc: Grpc,
    lookup: Lookup,
}

impl Prober {
    pub(crate) fn try_new() -> reqwest::Result<Self> {
        let lookup = Lookup::new();
        let client = || {
            reqwest::Client::builder()
                .user_agent("Consul Health Check")
                // A probe must not depend on a proxy, nor find a dead server alive by an old
                // connection.
                .no_proxy()
                .dns_resolver(Arc::new(lookup.clone()))
                .pool_max_idle_per_host(0)
                .redirect(Policy::limited(10))
        };
        let lax = client().danger_accept_invalid_certs(true).build()?;
        let grpc = Grpc::new(lookup.clone());
        Ok(Self { strict: client().build()?, lax, grpc, lookup })
    }

    /// What a check finds. Takes at most the check's timeout.
    pub(crate) async fn probe(&self, kind: &CheckKind) -> (Status, String) {
        match kind {
            CheckKind::Tcp { address, timeout, .. } => tcp(&self.lookup, address, *timeout).await,
            CheckKind::Http { .. } => self.http(kind).await,
            CheckKind::Grpc { address, service, tls, skip_verify, timeout, .. } => {
                let security = Security::of(*tls, *skip_verify);
                self.grpc.probe(address, service, security, *timeout).await
            }
            CheckKind::External | CheckKind::Ttl { .. } => (Status::Critical, String::new()),
        }
    }

    async fn http(&self, kind: &CheckKind) -> (Status, String) {
        let CheckKind::Http { url, method, header, body, skip_verify, timeout, .. } = kind else {
            return (Status::Critical, String::new());
        };
        let client = if *skip_verify { &self.lax } else { &self.strict };
        let Ok(method) = method.parse::<reqwest::Method>() else {
            return (Status::Critical, format!("`{method}` is not an HTTP method"));
        };
        let mut request = client.request(method.clone(), url).timeout(*timeout);
        if !header.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header("accept", "text/plain, text/*, */*");
        }
        for (name, value) in header {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.body(body.clone());
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return (Status::Critical, Chain(&error.without_url()).to_string()),
        };
        let status = response.status();
        let mut text = Vec::new();
        while text.len() < MAX_OUTPUT {
            match response.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                // What came before a broken end still tells more than nothing.
                Ok(None) | Err(_) => break,
            }
        }
        text.truncate(MAX_OUTPUT);
        let text = String::from_utf8_lossy(&text);
        (by_status(status.as_u16()), format!("HTTP {method} {url}: {status} Output: {text}"))
    }
}

/// Consul's rule: 2xx is passing, 429 is a warning, the rest is critical.
fn by_status(status: u16) -> Status {
    match status {
        200..=299 => Status::Passing,
        429 => Status::Warning,
        _ => Status::Critical,
    }
}

async fn tcp(lookup: &Lookup, address: &str, timeout: Duration) -> (Status, String) {
    match tokio::time::timeout(timeout, lookup.connect(address)).await {
        Ok(Ok(_connected)) => (Status::Passing, format!("TCP connect {address}: Success")),
        Ok(Err(error)) => (Status::Critical, format!("dial tcp {address}: {error}")),
        Err(_elapsed) => (Status::Critical, format!("dial tcp {address}: i/o timeout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_passing_and_too_many_requests_is_a_warning() {
        assert_eq!(by_status(200), Status::Passing);
        assert_eq!(by_status(299), Status::Passing);
        assert_eq!(by_status(429), Status::Warning);
        for status in [100, 199, 300, 404, 500, 503] {
            assert_eq!(by_status(status), Status::Critical);
        }
    }
}
