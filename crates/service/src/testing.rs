//! Runs a service in a test, on a free port, and calls it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use regatta_discovery::MemoryRegistry;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::registry::Registry;
use crate::{Result, Service};

/// Longest time for an answer in a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that runs beside its test; it ends when this is dropped.
///
/// ```
/// use regatta::axum::{Router, routing::get};
/// use regatta::testing::Running;
/// use regatta::{Config, Service};
///
/// # #[tokio::main]
/// # async fn main() -> regatta::Result {
/// let config = Config::builder().yaml("config.yaml", "service: {version: v1}").build()?;
/// let service = Service::builder("hello-service").config(config).quiet().build().await?;
/// let service = service.rest(Router::new().route("/hello", get(async || "hello")));
///
/// let running = Running::start(service).await?;
/// assert_eq!(running.get("/hello").await.text(), "hello");
/// assert_eq!(running.get("/nowhere").await.json()["code"], "not_found");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    drain: CancellationToken,
    serving: JoinHandle<()>,
}

/// What the service answered.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Running {
    /// Starts the service on a free port of the loopback, whatever its settings say; a registry is
    /// used only if the test gave one to the builder. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`Service::bind`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the port is free again.
    pub async fn start(mut service: Service) -> Result<Self> {
        service.settings.server.host = std::net::Ipv4Addr::LOCALHOST.into();
        service.settings.server.port = 0;
        if !service.has_given_registry {
            service.registry = Registry::of(MemoryRegistry::new());
            service.registry.register = None;
        }
        let server = service.bind().await?;
        let (address, drain) = (server.addr(), CancellationToken::new());
        // The task ends with the token, which `drop` cancels.
        let serving = tokio::runtime::Handle::current().spawn(server.run(drain.clone()));
        Ok(Self { address, drain, serving })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a `GET`.
    ///
    /// # Panics
    ///
    /// When no answer comes: a test fails by it.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the request may have been served.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(String::new())).await
    }

    /// Sends a JSON body.
    ///
    /// # Panics
    ///
    /// When no answer comes: a test fails by it.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the request may have been served.
    pub async fn json(&self, method: Method, path: &str, body: &serde_json::Value) -> Answer {
        let request = request(method, path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Sends any request; make it with `http::Request::builder()`.
    ///
    /// # Panics
    ///
    /// When the request is not one, or no answer comes: a test fails by it.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the request may have been served.
    pub async fn send(&self, request: http::Result<Request<String>>) -> Answer {
        ask(self.address, request).await
    }

    /// Drains the service and waits for its end.
    ///
    /// # Panics
    ///
    /// When the service panicked.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the service goes on to drain.
    pub async fn stop(mut self) {
        self.drain.cancel();
        (&mut self.serving).await.expect("the service does not panic");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One header as text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON: a test fails by it.
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("the body is not JSON ({error}): {}", self.text()),
        }
    }
}

/// Sends a request to any address, on a connection of its own.
///
/// # Panics
///
/// When the request is not one, or no answer comes: a test fails by it.
///
/// # Cancel safety
///
/// Not cancel safe: the request may have been served.
pub async fn ask(address: SocketAddr, request: http::Result<Request<String>>) -> Answer {
    let mut request = request.expect("the request is well formed");
    let host = address.to_string().parse().expect("an address is a header's value");
    request.headers_mut().entry(header::HOST).or_insert(host);
    let request = request.map(|body| Body::new(Full::from(body)));
    let answered = tokio::time::timeout(PATIENCE, answer(address, request)).await;
    answered.expect("an answer comes in time").expect("an answer comes")
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path)
}

/// One request on a connection of its own.
async fn answer(
    address: SocketAddr,
    request: Request<Body>,
) -> std::result::Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    // The connection is driven until the answer is complete.
    tokio::select! {
        answer = exchange => answer,
        ended = connection => match ended {
            Ok(()) => Err("the connection ended without an answer".into()),
            Err(error) => Err(error.into()),
        },
    }
}
