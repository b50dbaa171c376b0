//! How simulated hosts reach their registry.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use regatta_discovery_consul::{ConsulRegistry, Options, Transport, TransportError};
use tokio_util::task::TaskTracker;
use turmoil::net::TcpStream;

use crate::PORT;

/// The host of the registry.
pub const REGISTRY: &str = "registry";

/// What a host keeps of its registry; call it within the host's software.
///
/// # Panics
///
/// When an option is out of range.
pub fn registry(options: Options) -> ConsulRegistry {
    let url = format!("http://{REGISTRY}:{PORT}");
    ConsulRegistry::with_transport(&url, options, Arc::new(SimTransport::default()))
        .expect("the options of a simulation are in range")
}

/// One connection for each exchange, within the simulation.
#[derive(Clone, Debug, Default)]
struct SimTransport {
    connections: TaskTracker,
}

#[async_trait]
impl Transport for SimTransport {
    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        most_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let stream = TcpStream::connect((REGISTRY, PORT)).await.map_err(failed)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Ends with the exchange; how is the exchange's to report.
        self.connections.spawn(async move { drop(connection.await) });
        request.headers_mut().insert(header::HOST, HeaderValue::from_static(REGISTRY));
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(Into::into).unwrap_or_default();
        let answer = sender.send_request(request.map(Full::new)).await.map_err(failed)?;
        let (head, body) = answer.into_parts();
        let body =
            Limited::new(body, most_bytes).collect().await.map_err(TransportError::Failed)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> TransportError {
    TransportError::Failed(Box::new(error))
}
