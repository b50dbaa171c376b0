//! Calls of one server; what is no answer of Consul's is an error.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::transfer::{Endpoint, Transfer, TransferError};

/// How long a server may take to accept a connection, and to answer one request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);

/// One server.
pub(super) struct Server {
    endpoint: Endpoint,
    client: reqwest::Client,
}

/// A status and what came with it.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Server {
    /// Asks who leads there, so that another server, or one that cannot write, is known before
    /// anything is done.
    pub(super) async fn connect(
        transfer: &Transfer,
        endpoint: &Endpoint,
    ) -> Result<Self, TransferError> {
        let mut client =
            reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).no_proxy();
        if endpoint.has_tls() {
            client = transfer.tls.add_to(client)?;
        }
        let client = client.build().map_err(|error| TransferError::Unreachable {
            endpoint: endpoint.to_string(),
            source: error.into(),
        })?;
        let server = Self { endpoint: endpoint.clone(), client };
        match server.get("/v1/status/leader").await? {
            Value::String(leader) if !leader.is_empty() => Ok(server),
            Value::String(_) => Err(server.refused("be asked", "it has no leader")),
            _ => Err(server.refused("be asked", "it is no Consul")),
        }
    }

    /// Reads a path that is always there.
    pub(super) async fn get(&self, path: &str) -> Result<Value, TransferError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        self.json("list", self.success("list", answer)?)
    }

    /// Reads a list that is always there, if only as an empty one.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, TransferError> {
        match self.get(path).await? {
            Value::Array(items) => Ok(items),
            _ => Err(self.refused("list", "its answer is no list")),
        }
    }

    /// Reads the names of keys; where there are none, Consul answers 404.
    pub(super) async fn names(&self, path: &str) -> Result<Vec<String>, TransferError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let read = serde_json::from_slice(&self.success("list", answer)?);
        read.map_err(|_| self.refused("list", "its answer is no list of keys"))
    }

    /// Reads what only a control plane of ours tells, and not to everybody.
    pub(super) async fn told(&self, path: &str) -> Result<Option<Value>, TransferError> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
            _ => self.json("list", self.success("list", answer)?).map(Some),
        }
    }

    /// Writes; there is an answer, which may be empty.
    pub(super) async fn put(
        &self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, TransferError> {
        let answer = self.send(Method::PUT, path, body.into()).await?;
        self.success("write", answer)
    }

    /// Writes where Consul says `true` when it has.
    pub(super) async fn put_done(
        &self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), TransferError> {
        match self.put(path, body).await?.trim_ascii() {
            b"true" => Ok(()),
            _ => Err(self.refused("write", "it does not say that it has")),
        }
    }

    /// Does a transaction: what it says, whether it was done or not.
    pub(super) async fn txn(&self, operations: &Value) -> Result<Value, TransferError> {
        let answer = self.send(Method::PUT, "/v1/txn", operations.to_string().into()).await?;
        match answer.status {
            StatusCode::CONFLICT => self.json("do", answer.body),
            _ => self.json("do", self.success("do", answer)?),
        }
    }

    /// What is said of a server that does not do what it is asked.
    pub(super) fn refused(&self, action: &'static str, reason: impl Into<String>) -> TransferError {
        let (endpoint, reason) = (self.endpoint.to_string(), reason.into());
        TransferError::Refused { endpoint, action, reason }
    }

    fn success(&self, action: &'static str, answer: Answer) -> Result<Bytes, TransferError> {
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let said = String::from_utf8_lossy(&answer.body);
        Err(self.refused(action, format!("{}: {}", answer.status, said.trim())))
    }

    fn json(&self, action: &'static str, body: Bytes) -> Result<Value, TransferError> {
        serde_json::from_slice(&body).map_err(|_| self.refused(action, "its answer is no JSON"))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, TransferError> {
        let unreachable = |error: reqwest::Error| TransferError::Unreachable {
            endpoint: self.endpoint.to_string(),
            source: error.without_url().into(),
        };
        let mut request = self.client.request(method, format!("{}{path}", self.endpoint.url()));
        if let Some(token) = &self.endpoint.secret {
            request = request.header("X-Consul-Token", token.expose());
        }
        let answer = request.body(body).send().await.map_err(unreachable)?;
        let status = answer.status();
        Ok(Answer { status, body: answer.bytes().await.map_err(unreachable)? })
    }
}

/// A key or a name within a path.
pub(super) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = match byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            true => write!(out, "{}", char::from(byte)),
            false => write!(out, "%{byte:02X}"),
        };
        out
    })
}

/// A text member of an object; empty when it is absent.
pub(super) fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_path_keeps_its_slashes_and_escapes_the_rest() {
        assert_eq!(escaped("a/b c?ü"), "a/b%20c%3F%C3%BC");
    }
}
