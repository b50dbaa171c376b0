//! An HTTP client with a token and a client id of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Calls a base URL; every caller has a client id of its own, so that none uses up another's rate.
#[derive(Clone, Debug)]
pub struct Caller {
    base: String,
    token: Option<String>,
    id: String,
    http: reqwest::Client,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Caller {
    /// A caller without a token.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(base: &str) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = format!("e2e-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token: None, id, http })
    }

    /// The same caller with this token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A request, for what the verbs below do not cover.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.header("x-client-id", &self.id);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// DELETE.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    /// A method with a JSON body.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        Answer::to(self.request(method, path).json(body)).await
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, body).await
    }

    /// POST of a JSON body that may be repeated under this key.
    ///
    /// # Errors
    ///
    /// When no answer came.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        let request = self.request(Method::POST, path).header("idempotency-key", key);
        Answer::to(request.json(body)).await
    }
}

impl Answer {
    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When no answer came, or not all of it.
    pub async fn to(request: RequestBuilder) -> Result<Self> {
        let response = request.send().await.context("no answer")?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, text: response.text().await.context("half an answer")? })
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
