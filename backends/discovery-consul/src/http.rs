//! Single calls, each bounded in time and size.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use regatta_discovery::RegisterError;
use reqwest::Url;
use serde_json::Value;

use crate::options::base_url;
use crate::transport::{Network, Transport, TransportError};
use crate::{InvalidOptions, Options};

/// The registry's HTTP side; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    transport: Arc<dyn Transport>,
    base: Url,
    token: Option<HeaderValue>,
    address: Arc<str>,
    timeout: Duration,
    max_answer_bytes: usize,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// `X-Consul-Index`.
    pub(crate) index: Option<u64>,
    pub(crate) body: Bytes,
}

/// No usable answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("no answer came within {within:?}")]
    Timeout { within: Duration },
    #[error("the answer has status {status}: {message}")]
    Status { status: u16, message: String },
    #[error("the answer is not what Consul sends; check that the address is a registry's")]
    Malformed(#[source] serde_json::Error),
}

impl Http {
    pub(crate) fn try_new(
        url: &str,
        options: &Options,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, InvalidOptions> {
        let address = base_url(url)?;
        let wrong = || InvalidOptions::Url { url: url.to_owned() };
        let base = Url::parse(&address).map_err(|_| wrong())?;
        let mut token = None;
        if let Some(secret) = &options.token {
            let value = HeaderValue::from_str(secret.expose());
            let mut value = value.map_err(|_| InvalidOptions::Token)?;
            value.set_sensitive(true);
            token = Some(value);
        }
        let (timeout, max_answer_bytes) = (options.timeout, options.max_answer_bytes);
        Ok(Self { transport, base, token, address: address.into(), timeout, max_answer_bytes })
    }

    /// What carries requests unless the program brings its own.
    pub(crate) fn network(options: &Options) -> Result<Arc<dyn Transport>, InvalidOptions> {
        let client = reqwest::Client::builder()
            // The registry is part of the platform; a proxy for the outside must not see it.
            .no_proxy()
            .connect_timeout(options.timeout);
        let client = options.add_to(client)?.build().map_err(InvalidOptions::Client)?;
        Ok(Arc::new(Network(client)))
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Reads a path; `patience` comes on top of the timeout of any call.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(Method::GET, &url, None, patience + self.timeout).await
    }

    pub(crate) async fn put(
        &self,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Answer, CallError> {
        self.send(Method::PUT, &self.url(path), body, self.timeout).await
    }

    /// What a registration's caller is told about a call without a usable answer.
    pub(crate) fn unreachable(&self, error: CallError) -> RegisterError {
        let registry = self.address().to_owned();
        RegisterError::Unreachable { registry, source: error.into() }
    }

    /// What a registration's caller is told about an answer that is no success.
    pub(crate) fn refused(&self, answer: &Answer) -> RegisterError {
        let (registry, status) = (self.address().to_owned(), answer.status.as_u16());
        let message = answer.message();
        // 408 and 429 are no verdict about the request.
        if answer.status.is_client_error() && ![408, 429].contains(&status) {
            return RegisterError::Refused { registry, status, message };
        }
        RegisterError::Failed { registry, status, message }
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(token) = &self.token {
            request = request.header("x-consul-token", token);
        }
        let request = match body {
            Some(body) => {
                let json = HeaderValue::from_static("application/json");
                request.header(CONTENT_TYPE, json).body(body.to_string().into())
            }
            None => request.body(Bytes::new()),
        };
        let request = request.expect("a URL is a URI, and the headers were checked");
        let exchange = self.transport.exchange(request, self.max_answer_bytes);
        let answered = tokio::time::timeout(within, exchange).await;
        let response = answered.map_err(|_elapsed| CallError::Timeout { within })??;
        let index = response.headers().get("x-consul-index");
        let index = index.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer { status: response.status(), index, body: response.into_body() })
    }

    /// Each part of the path is escaped, since ids may hold anything.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

impl Answer {
    /// The registry's words, cut to 500 bytes.
    pub(crate) fn message(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(500)]).trim().to_owned()
    }

    /// The answer itself if it is a success.
    pub(crate) fn success(self) -> Result<Self, CallError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (status, message) = (self.status.as_u16(), self.message());
        Err(CallError::Status { status, message })
    }
}
