//! What carries requests to the registry: HTTP over the network, or what a simulation has instead.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

/// Carries requests to the registry.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// Sends a request with a whole URI and reads the answer, of whose body at most so many bytes.
    /// Need not bound its time: whoever calls does.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when no whole answer came.
    ///
    /// # Cancel safety
    ///
    /// A dropped request may have reached the registry; it leaves nothing behind here.
    async fn exchange(
        &self,
        request: Request<Bytes>,
        most_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError>;
}

/// No whole answer came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection failed, or what came over it is not HTTP.
    #[error("the call failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is larger than is read.
    #[error("the answer is over {limit} bytes; raise `max_answer_bytes`")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
}

/// The network, with pooled connections, and TLS for `https`.
#[derive(Clone, Debug)]
pub(crate) struct Network(pub(crate) reqwest::Client);

#[async_trait]
impl Transport for Network {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        most_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let failed = |error: reqwest::Error| TransportError::Failed(error.without_url().into());
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut response = self.0.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most_bytes {
                return Err(TransportError::TooLarge { limit: most_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}
