//! Instances of one service for tests, registered in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use regatta_client::{Channel, Client, Options, ServiceClient};
use regatta_core::{Endpoint, Instance, ServiceName};
use regatta_discovery::{MemoryRegistry, Register, Registration};
use regatta_resilience::retry::Backoff;
use regatta_traffic::balance::Strategy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_stream::StreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Instances of `user-service` and a client that finds them.
pub(crate) struct Fleet {
    pub(crate) registry: MemoryRegistry,
    tasks: TaskTracker,
    stop: CancellationToken,
    _guard: DropGuard,
}

/// One instance, and how often it was called.
pub(crate) struct Server {
    pub(crate) instance: Instance,
    hits: Arc<AtomicU32>,
    stop: CancellationToken,
    held: Option<TcpSocket>,
}

impl Server {
    pub(crate) fn hits(&self) -> u32 {
        self.hits.load(Ordering::SeqCst)
    }
}

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// Answers with this status.
    Answer(u16),
    /// Answers 503 and says when to come back, in seconds.
    Shed(u32),
    /// Never answers.
    Hang,
    /// Begins a body and never ends it.
    HangInBody,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let (registry, tasks) = (MemoryRegistry::new(), TaskTracker::new());
        Self { registry, tasks, stop, _guard: guard }
    }

    /// An instance that does this with every request.
    pub(crate) async fn serve(&self, does: Does) -> Server {
        let handler = move |request: axum::extract::Request| async move {
            // As a handler that takes the body does.
            let _body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
            answer(does).await
        };
        self.serve_router(Router::new().fallback(handler)).await
    }

    /// An instance of these routes.
    pub(crate) async fn serve_router(&self, router: Router) -> Server {
        let hits = Arc::<AtomicU32>::default();
        let count = Arc::clone(&hits);
        let router = router.layer(axum::middleware::map_request(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready::<axum::extract::Request>(request)
        }));
        let (listener, server) = self.listen(hits).await;
        let stop = server.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(async { axum::serve(listener, router).await }).await
        });
        server
    }

    /// An instance that reads a request and says these bytes, then closes.
    pub(crate) async fn serve_bytes(&self, bytes: &'static [u8]) -> Server {
        self.serve_said(bytes, false).await
    }

    /// An instance that reads some of a request, says these bytes, and reads on to the end.
    pub(crate) async fn serve_bytes_early(&self, bytes: &'static [u8]) -> Server {
        self.serve_said(bytes, true).await
    }

    async fn serve_said(&self, bytes: &'static [u8], reads_on: bool) -> Server {
        let hits = Arc::<AtomicU32>::default();
        let (listener, server) = self.listen(Arc::clone(&hits)).await;
        let stop = server.stop.clone();
        let serve = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    hits.fetch_add(1, Ordering::SeqCst);
                    let _gone = stream.write_all(bytes).await;
                }
                if reads_on {
                    let _gone = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            }
        };
        self.tasks.spawn(async move { stop.run_until_cancelled(serve).await });
        server
    }

    /// An instance that takes the head of a first HTTP/2 request, says these frames after its
    /// settings, and ends its side of the connection.
    pub(crate) async fn serve_frames(&self, frames: Vec<u8>) -> Server {
        let hits = Arc::<AtomicU32>::default();
        let (listener, server) = self.listen(Arc::clone(&hits)).await;
        let stop = server.stop.clone();
        let serve = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if take_request(&mut stream).await.is_err() {
                    continue;
                }
                hits.fetch_add(1, Ordering::SeqCst);
                let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
                let _gone = stream.write_all(&[&settings, &frames[..]].concat()).await;
                let _gone = stream.shutdown().await;
                // What is left unread would reset the connection, and the frames with it.
                let _gone = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        };
        self.tasks.spawn(async move { stop.run_until_cancelled(serve).await });
        server
    }

    /// A registered instance that refuses connections: its port is taken, but nobody listens.
    pub(crate) async fn dead(&self) -> Server {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut server = self.server(socket.local_addr().unwrap(), Arc::default()).await;
        server.held = Some(socket);
        server
    }

    async fn listen(&self, hits: Arc<AtomicU32>) -> (TcpListener, Server) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = self.server(listener.local_addr().unwrap(), hits).await;
        (listener, server)
    }

    async fn server(&self, address: SocketAddr, hits: Arc<AtomicU32>) -> Server {
        let instance = Instance::new(name(), Endpoint::from(address));
        self.register(&instance).await;
        Server { instance, hits, stop: self.stop.child_token(), held: None }
    }

    pub(crate) async fn register(&self, instance: &Instance) {
        self.registry.register(&Registration::new(instance.clone())).await.unwrap();
    }

    pub(crate) async fn remove(&self, server: &Server) {
        self.registry.deregister(&server.instance.id).await.unwrap();
    }

    pub(crate) fn client(&self, options: Options) -> ServiceClient {
        client(&self.registry, options).service("user-service").unwrap()
    }

    pub(crate) fn channel(&self, options: Options) -> Channel {
        client(&self.registry, options).channel("user-service").unwrap()
    }
}

pub(crate) fn client(registry: &MemoryRegistry, options: Options) -> Client {
    Client::try_new(Arc::new(registry.clone()), options).unwrap()
}

pub(crate) fn name() -> ServiceName {
    "user-service".parse().unwrap()
}

/// The defaults, but that waits are short, so that tests are, and that instances take turns, so
/// that calls can be counted.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.retry.backoff = Backoff::try_new(MILLISECOND, MILLISECOND).unwrap();
    options.cluster.balance = Strategy::RoundRobin;
    options
}

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// Reads the preface of HTTP/2, then frames up to the first with the head of a request.
async fn take_request(stream: &mut TcpStream) -> std::io::Result<()> {
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await?;
        if head[3] == HEADERS {
            return Ok(());
        }
    }
}

async fn answer(does: Does) -> Response {
    match does {
        Does::Answer(status) => (StatusCode::from_u16(status).unwrap(), "answer").into_response(),
        Does::Shed(seconds) => {
            let retry_after = [("retry-after", seconds.to_string())];
            (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response()
        }
        Does::Hang => std::future::pending().await,
        Does::HangInBody => {
            let begin = tokio_stream::once(Ok::<_, std::io::Error>("begin"));
            let body = begin.chain(tokio_stream::pending());
            axum::body::Body::from_stream(body).into_response()
        }
    }
}
