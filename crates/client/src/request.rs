//! An HTTP request to one service, as it is put together.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use serde::Serialize;

use crate::body::RequestBody;
use crate::call::Call;
use crate::classify::{self, IDEMPOTENCY_KEY};
use crate::error::Cause;
use crate::replay::Replay;
use crate::target::Target;
use crate::transport::Protocol;
use crate::upload::Upload;
use crate::{Error, Response};

/// An HTTP request to one service. What is wrong with it is said by [`RequestBuilder::send`].
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    target: Arc<Target>,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Replay,
    timeout: Option<Duration>,
    try_timeout: Option<Duration>,
    is_streamed: bool,
    key: Option<u64>,
    version: Option<Arc<str>>,
    /// The first mistake.
    problem: Option<String>,
}

impl RequestBuilder {
    pub(crate) fn new(target: Arc<Target>, method: Method, path: &str) -> Self {
        Self {
            target,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Replay::Kept(Bytes::new()),
            timeout: None,
            try_timeout: None,
            is_streamed: false,
            key: None,
            version: None,
            problem: None,
        }
    }

    /// Adds a header, in place of one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => drop(self.headers.insert(name, value)),
            (Err(_), _) => self.refuse(format!("`{name}` is not a header name; use a token")),
            // The value may be a secret, so the message does not have it.
            (_, Err(_)) => self.refuse(format!(
                "the value of header `{name}` has a line break or another control character; \
                 leave it out"
            )),
        }
        self
    }

    /// Sends a bearer token (RFC 6750), such as the caller's own.
    pub fn bearer(mut self, token: &str) -> Self {
        match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.refuse("the bearer token has a control character".to_owned()),
        }
        self
    }

    /// Adds a parameter to the query, percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        encode(&mut self.path, name);
        self.path.push('=');
        encode(&mut self.path, value);
        self
    }

    /// Sends this as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => {
                self.body = Replay::Kept(bytes.into());
                let json = HeaderValue::from_static("application/json");
                self.headers.entry(CONTENT_TYPE).or_insert(json);
            }
            Err(error) => self.refuse(format!("the body is not JSON: {error}")),
        }
        self
    }

    /// Sends these bytes; say with a header what they are.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Replay::Kept(bytes.into());
        self
    }

    /// Sends these bytes as they come, in chunks; say with a header what they are. Nothing is read
    /// ahead of what the connection takes, so it takes the memory of a few items.
    ///
    /// It is sent once: the call goes elsewhere as long as nothing of it was sent, and is never
    /// repeated then. An item that is an error ends the call with [`Error::RequestBody`], which is
    /// not held against the instance. What is not sent when the answer has been read, or is dropped,
    /// is not sent any more.
    pub fn stream<S, E>(self, stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        self.http_body(StreamBody::new(stream.map_ok(Frame::data)))
    }

    /// As [`RequestBuilder::stream`], from a body of HTTP, such as that of a request that is served
    /// here. If its length is known it is told (`content-length`); its trailers are sent.
    pub fn http_body<B>(mut self, body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: Into<Cause>> + Send + 'static,
    {
        self.body = Replay::Once(Some(Box::new(RequestBody::Upload(Upload::new(body)))));
        self
    }

    /// Lets the bodies of request and answer take as long as they move. The time for the call then
    /// holds from the end of the request to the head of the answer, and neither body may be silent
    /// for longer than [`crate::Options::body_idle`]. The deadline of a request that is served here
    /// ends the call in any case.
    pub fn streamed(mut self) -> Self {
        self.is_streamed = true;
        self
    }

    /// Sends `Idempotency-Key`: the service does requests of the same key once, so any method may
    /// be repeated.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(IDEMPOTENCY_KEY, key)
    }

    /// The most time for the call with all its tries, in place of [`crate::Options::timeout`]; the
    /// time for one try changes in proportion. A caller's earlier deadline still comes first.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The most time for one try that may be repeated, in place of
    /// [`crate::Options::try_timeout`].
    pub fn try_timeout(mut self, timeout: Duration) -> Self {
        self.try_timeout = Some(timeout);
        self
    }

    /// Sends the call to an instance of this version, whatever the weights say; none of it is
    /// [`Error::NoInstance`]. For a test of a release that has no weight yet, say.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sends calls of the same key, such as a user's id, to the same instance as long as it is
    /// there, if the service's strategy is
    /// [`ConsistentHash`](regatta_traffic::balance::Strategy::ConsistentHash); others ignore it.
    pub fn hash_key(mut self, key: &str) -> Self {
        self.key = Some(regatta_traffic::balance::hash_key(key));
        self
    }

    /// Makes the call. Any status is an answer; see [`Response::error_for_status`].
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no answer; it says whose fault that is and whether a retry may help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the try in flight and frees what it holds. The call may have
    /// happened.
    pub async fn send(self) -> Result<Response, Error> {
        let service = self.target.name().clone();
        let invalid = |problem| Error::InvalidRequest { service, problem };
        if let Some(problem) = self.problem {
            return Err(invalid(problem));
        }
        let path = match self.path.parse::<PathAndQuery>() {
            Ok(path) if self.path.starts_with('/') => path,
            _ => {
                return Err(invalid(format!(
                    "`{}` is not a path; begin with `/` and percent-encode what paths do not allow",
                    self.path
                )));
            }
        };
        let options = self.target.options();
        let timeout = self.timeout.unwrap_or(options.timeout);
        let in_proportion = match self.timeout {
            Some(timeout) => in_proportion(timeout, options.try_timeout, options.timeout),
            None => options.try_timeout,
        };
        let max_body_bytes = options.max_body_bytes;
        let idle = self.is_streamed.then_some(options.body_idle);
        let call = Call {
            target: self.target,
            key: self.key,
            version: self.version,
            protocol: Protocol::Http,
            is_read: self.method.is_safe(),
            is_idempotent: classify::is_idempotent(&self.method, &self.headers),
            method: self.method,
            path,
            headers: self.headers,
            timeout,
            idle,
            try_timeout: self.try_timeout.unwrap_or(in_proportion),
            options,
        };
        Ok(Response::new(call.run(self.body).await?, max_body_bytes))
    }

    fn refuse(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

/// The time for one try of a call that may take this long, where `part` of `whole` is usual.
fn in_proportion(timeout: Duration, part: Duration, whole: Duration) -> Duration {
    let share = part.as_secs_f64() / whole.as_secs_f64();
    // The longest time there is rounds to more than that.
    let time = Duration::try_from_secs_f64(timeout.as_secs_f64() * share.min(1.0));
    time.map_or(timeout, |time| time.min(timeout))
}

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
fn encode(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            out.push('%');
            out.extend(digits.map(char::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_gets_its_part_of_any_time_there_is() {
        let second = Duration::from_secs(1);
        assert_eq!(in_proportion(second, second, second * 2), second / 2);
        assert_eq!(in_proportion(second, second * 2, second), second);
        for timeout in [Duration::MAX, Duration::MAX - Duration::from_nanos(1), Duration::ZERO] {
            for part in [second / 3, second, Duration::MAX] {
                assert!(in_proportion(timeout, part, second) <= timeout);
            }
        }
        assert_eq!(in_proportion(Duration::MAX, second, second), Duration::MAX);
    }

    #[test]
    fn a_query_cannot_be_broken_out_of() {
        let mut out = String::new();
        encode(&mut out, "a b&c=d/ü?#%~");
        assert_eq!(out, "a%20b%26c%3Dd%2F%C3%BC%3F%23%25~");
    }
}
