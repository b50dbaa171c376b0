//! The answer to an HTTP call.

use std::fmt;

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use regatta_core::ServiceName;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Rejected;
use crate::{BytesStream, Error, ResponseBody, classify};

/// The answer to an HTTP call. Its body is read under the call's deadline.
pub struct Response {
    head: http::response::Parts,
    body: ResponseBody,
    max_body_bytes: usize,
}

/// The most that is read of an error's body: a problem is a few lines.
const MOST_PROBLEM_BYTES: usize = 64 << 10;

impl Response {
    pub(crate) fn new(response: http::Response<ResponseBody>, max_body_bytes: usize) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body, max_body_bytes }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The service that answered.
    pub fn service(&self) -> &ServiceName {
        self.body.service()
    }

    /// The body as it comes, as [`http_body::Body`]; [`crate::Options::max_body_bytes`] does not
    /// bound it.
    pub fn into_body(self) -> ResponseBody {
        self.body
    }

    /// The body as it comes, as a stream of bytes; see [`ResponseBody`].
    pub fn bytes_stream(self) -> BytesStream {
        BytesStream::new(self.body)
    }

    /// The next bytes of the body; none at its end. Trailers are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Broken`] when the connection breaks, [`Error::Timeout`] when the call's deadline is
    /// over, [`Error::RequestBody`] when the request's own body failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The same response if its status is under 400.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] with what the body says, as a problem (RFC 9457) or `{"error": "…"}`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the answer up.
    pub async fn error_for_status(mut self) -> Result<Self, Error> {
        let status = self.status();
        if status.as_u16() < 400 {
            return Ok(self);
        }
        let (service, retry_after) =
            (self.service().clone(), classify::retry_after(self.headers()));
        self.max_body_bytes = self.max_body_bytes.min(MOST_PROBLEM_BYTES);
        // The status is the answer; that its body cannot be read changes nothing.
        let body = self.bytes().await.unwrap_or_default();
        let members: Members = serde_json::from_slice(&body).unwrap_or_default();
        let rejected = Box::new(Rejected {
            code: members.code.unwrap_or_default(),
            title: members.title.or(members.error).unwrap_or_default(),
            detail: members.detail.unwrap_or_default(),
            retry_after,
        });
        Err(Error::Status { service, status, rejected })
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLarge`] over [`crate::Options::max_body_bytes`], [`Error::Broken`] when the
    /// connection breaks, [`Error::Timeout`] when the call's deadline is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the answer up.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        Ok(self.collect().await?.to_bytes())
    }

    /// The whole body as text; what is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    ///
    /// As [`Response::bytes`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the answer up.
    pub async fn text(self) -> Result<String, Error> {
        let bytes = self.bytes().await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The body as JSON of this type. An answer of 400 or more is an error, whatever its body.
    ///
    /// # Errors
    ///
    /// As [`Response::error_for_status`] and [`Response::bytes`], and [`Error::Decode`] when the
    /// body is not such JSON.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the answer up.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let response = self.error_for_status().await?;
        let service = response.service().clone();
        let body = response.collect().await?.aggregate();
        serde_json::from_reader(body.reader()).map_err(|source| Error::Decode { service, source })
    }

    async fn collect(self) -> Result<http_body_util::Collected<Bytes>, Error> {
        let (service, limit) = (self.service().clone(), self.max_body_bytes);
        Limited::new(self.body, limit).collect().await.map_err(|error| {
            match error.downcast::<Error>() {
                Ok(error) => *error,
                // The only other error there is, as the next line says to whoever changes it.
                Err(error) => {
                    debug_assert!(error.is::<LengthLimitError>(), "{error}");
                    Error::BodyTooLarge { service, limit }
                }
            }
        })
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// The members of an error's body that are read.
#[derive(Default, Deserialize)]
struct Members {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    error: Option<String>,
}
