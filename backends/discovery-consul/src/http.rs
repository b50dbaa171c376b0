//! Single calls, each bounded in time and size.

use std::sync::Arc;
use std::time::Duration;

use regatta_discovery::RegisterError;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use crate::options::base_url;
use crate::{InvalidOptions, Options};

/// The registry's HTTP side; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    base: Url,
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
    pub(crate) body: Vec<u8>,
}

/// No usable answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the call failed")]
    Transport(#[source] reqwest::Error),
    #[error("the answer is over {limit} bytes; raise `max_answer_bytes`")]
    TooLarge { limit: usize },
    #[error("the answer has status {status}: {message}")]
    Status { status: u16, message: String },
    #[error("the answer is not what Consul sends; check that the address is a registry's")]
    Malformed(#[source] serde_json::Error),
}

impl Http {
    pub(crate) fn try_new(url: &str, options: &Options) -> Result<Self, InvalidOptions> {
        let address = base_url(url)?;
        let wrong = || InvalidOptions::Url { url: url.to_owned() };
        let base = Url::parse(&address).map_err(|_| wrong())?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &options.token {
            let token = HeaderValue::from_str(token.expose());
            let mut token = token.map_err(|_| InvalidOptions::Token)?;
            token.set_sensitive(true);
            headers.insert("x-consul-token", token);
        }
        let client = Client::builder()
            .default_headers(headers)
            // The registry is part of the platform; a proxy for the outside must not see it.
            .no_proxy()
            .connect_timeout(options.timeout)
            .build()
            .map_err(InvalidOptions::Client)?;
        let (timeout, max_answer_bytes) = (options.timeout, options.max_answer_bytes);
        Ok(Self { client, base, address: address.into(), timeout, max_answer_bytes })
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
        let request = self.client.request(Method::GET, url).timeout(patience + self.timeout);
        self.send(request).await
    }

    pub(crate) async fn put(
        &self,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Answer, CallError> {
        let request = self.client.request(Method::PUT, self.url(path)).timeout(self.timeout);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.send(request).await
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

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, CallError> {
        let failed = |error: reqwest::Error| CallError::Transport(error.without_url());
        let mut response = request.send().await.map_err(failed)?;
        let header = response.headers().get("x-consul-index");
        let index = header.and_then(|value| value.to_str().ok()?.parse().ok());
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.max_answer_bytes {
                return Err(CallError::TooLarge { limit: self.max_answer_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, index, body })
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
