//! Services that answer at once, and clients that ask again as soon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use regatta_auth::{Grant, Issuer, SigningKey};
use regatta_core::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http2;
use crate::round::Round;

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";

/// Users of the load with policies, each with a token and a count of its own.
const USERS: usize = 200;

/// What each service answers: a head and 200 bytes of JSON.
fn answer() -> Vec<u8> {
    let body = format!("{{\"user_id\":1,\"name\":\"{}\"}}", "x".repeat(200 - 23));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Starts two services on a thread of their own.
pub(crate) fn services(grpc: bool) -> [SocketAddr; 2] {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..2 {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                if grpc {
                    tasks.spawn(http2::serve_grpc(listener));
                    continue;
                }
                tasks.spawn(async move {
                    let mut connections = JoinSet::new();
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        connections.spawn(serve(stream));
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
        });
    });
    [receiver.recv().unwrap(), receiver.recv().unwrap()]
}

async fn serve(mut stream: TcpStream) {
    _ = stream.set_nodelay(true);
    let answer = answer();
    let mut bytes = Vec::with_capacity(8192);
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) if bytes.ends_with(b"\r\n\r\n") => (),
            Ok(_) => continue,
        }
        bytes.clear();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// The requests clients send in turn.
pub(crate) struct Load {
    round: Round,
    requests: Arc<Vec<Vec<u8>>>,
}

impl Load {
    pub(crate) fn new(round: Round) -> Self {
        let policies = round == Round::Policies;
        let issuer = Issuer::new(SigningKey::hs256(&Secret::new(SECRET)).unwrap()).issuer("dev");
        let now = wall_clock();
        let requests = (0..if policies { USERS } else { 1 })
            .map(|user| {
                let mut text = "GET /a/users/1?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\n\
                                User-Agent: load/1\r\nAccept: application/json\r\n"
                    .to_owned();
                if policies {
                    let grant = Grant::new(user.to_string()).role("user");
                    let token = issuer.issue(&grant, now).unwrap();
                    text += &format!(
                        "Authorization: Bearer {token}\r\nX-Client-ID: client-{user}\r\n\
                         X-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n\
                         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
                    );
                }
                (text + "\r\n").into_bytes()
            })
            .collect();
        Self { round, requests: Arc::new(requests) }
    }

    /// Sends so many requests over so many connections; any answer but 200 ends the bench.
    pub(crate) fn run(&self, address: SocketAddr, connections: usize, requests: usize) {
        if matches!(self.round, Round::Http2 | Round::Grpc) {
            let grpc = self.round == Round::Grpc;
            let connections = (connections / http2::STREAMS).max(1);
            return runtime().block_on(http2::run(address, grpc, connections, requests));
        }
        let left = Arc::new(AtomicUsize::new(requests));
        runtime().block_on(async {
            let mut clients = JoinSet::new();
            for _ in 0..connections {
                let (left, requests) = (Arc::clone(&left), Arc::clone(&self.requests));
                clients.spawn(async move {
                    let mut client = Client::connect(address).await;
                    loop {
                        let number = left.fetch_sub(1, Ordering::Relaxed);
                        if number == 0 || number > usize::MAX / 2 {
                            return;
                        }
                        client.ask(&requests[number % requests.len()]).await;
                    }
                });
            }
            while let Some(ended) = clients.join_next().await {
                ended.unwrap();
            }
        });
    }

    /// Opens connections that have each asked once; they close with the value.
    pub(crate) fn hold_idle(&self, address: SocketAddr, connections: usize) -> impl Drop + use<> {
        let runtime = runtime();
        let held = runtime.block_on(async {
            let mut held = Vec::with_capacity(connections);
            for _ in 0..connections {
                let mut client = Client::connect(address).await;
                client.ask(&self.requests[0]).await;
                held.push(client);
            }
            held
        });
        struct Held(
            #[expect(dead_code, reason = "held open")] Vec<Client>,
            #[expect(dead_code, reason = "polls them")] tokio::runtime::Runtime,
        );
        impl Drop for Held {
            fn drop(&mut self) {}
        }
        Held(held, runtime)
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::with_capacity(4096) }
    }

    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.read.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "closed early");
            // Every answer is the services' own, so it ends with their body's end.
            if self.read.ends_with(b"x\"}") {
                break;
            }
            let text = String::from_utf8_lossy(&self.read);
            assert!(text.starts_with("HTTP/1.1 200"), "not served: {text}");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "tokens need the real time")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
