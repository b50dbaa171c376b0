//! A running gateway, an upstream that says what it got, and a client that writes bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use regatta_core::{Instance, Secret};
use regatta_discovery::StaticRegistry;
use regatta_gateway::{Auth, Gateway, Service, Settings};
use regatta_traffic::balance::Strategy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A running gateway; it stops with the value.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) drain: CancellationToken,
    pub(crate) ended: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

/// Settings with free ports, no rate limit, and one worker, so that pools are predictable.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.listen = "127.0.0.1:0".parse().unwrap();
    settings.admin = Some("127.0.0.1:0".parse().unwrap());
    settings.workers = std::num::NonZeroUsize::new(1);
    settings.rate_limit = None;
    settings.services = vec![Service::new("a".parse().unwrap())];
    settings.timeouts.drain = Duration::from_secs(5);
    // In turn, so that tests know who is asked.
    settings.traffic.cluster.balance = Strategy::RoundRobin;
    settings
}

pub(crate) fn auth() -> Auth {
    Auth::new(Secret::new(SECRET))
}

/// Starts a gateway whose service `a` has these instances.
pub(crate) async fn start(settings: Settings, instances: &[SocketAddr]) -> Running {
    let instances = instances.iter().map(|address| instance(*address, None)).collect();
    start_with(settings, instances).await
}

pub(crate) fn instance(address: SocketAddr, version: Option<&str>) -> Instance {
    let instance = Instance::new("a".parse().unwrap(), address.into());
    match version {
        Some(version) => instance.with_version(version),
        None => instance,
    }
}

pub(crate) async fn start_with(settings: Settings, instances: Vec<Instance>) -> Running {
    let expected = instances.len();
    let registry = Arc::new(StaticRegistry::new(instances));
    let gateway = Gateway::bind(settings, registry).await.unwrap();
    let (addr, admin) = (gateway.addr(), gateway.admin_addr().unwrap());
    let drain = CancellationToken::new();
    let stop = drain.clone();
    let tasks = TaskTracker::new();
    let ended = tasks.spawn(async move { gateway.run(stop).await.unwrap() });
    let running = Running { addr, admin, drain, ended: Some(ended) };
    if expected > 0 {
        let ready = async {
            loop {
                if get(running.addr, "/health/ready").await.status == 200 {
                    return;
                }
            }
        };
        tokio::time::timeout(LIMIT, ready).await.unwrap();
    }
    running
}

/// A message as it came over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Request line or status line.
    pub(crate) line: String,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// One connection that reads and writes messages.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) read: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads some bytes; false at the end.
    pub(crate) async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.read);
        matches!(tokio::time::timeout(LIMIT, read).await.expect("bytes come in time"), Ok(n) if n > 0)
    }

    /// Reads one head.
    pub(crate) async fn head(&mut self) -> Option<Message> {
        loop {
            if let Some(at) = self.read.windows(4).position(|it| it == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..at + 4).collect();
                return Some(parse(&String::from_utf8_lossy(&head)));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads one message, its body by length or chunks.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let mut message = self.head().await?;
        if let Some(length) = message.field("content-length") {
            let length: usize = length.parse().unwrap();
            while self.read.len() < length {
                if !self.more().await {
                    return None;
                }
            }
            message.body = self.read.drain(..length).collect();
        } else if message.field("transfer-encoding").is_some() {
            loop {
                let end = loop {
                    match self.read.windows(2).position(|it| it == b"\r\n") {
                        Some(end) => break end,
                        None if !self.more().await => return None,
                        None => (),
                    }
                };
                let line = String::from_utf8_lossy(&self.read[..end]).into_owned();
                let size = usize::from_str_radix(&line, 16).unwrap();
                if size == 0 {
                    // The trailer section ends with an empty line.
                    while !self.read.windows(4).any(|it| it == b"\r\n\r\n") {
                        if !self.more().await {
                            return None;
                        }
                    }
                    let at = self.read.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
                    self.read.drain(..at + 4);
                    break;
                }
                while self.read.len() < end + 2 + size + 2 {
                    if !self.more().await {
                        return None;
                    }
                }
                message.body.extend_from_slice(&self.read[end + 2..end + 2 + size]);
                self.read.drain(..end + 2 + size + 2);
            }
        }
        Some(message)
    }

    /// Reads a response to the end of the stream, whatever its framing.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }
}

fn parse(head: &str) -> Message {
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap_or("").to_owned();
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let fields = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Message { line, status, fields, body: Vec::new() }
}

/// Sends one request on a connection of its own and reads the answer.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Message {
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    wire.message().await.expect("an answer")
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Message {
    get_with(address, path, "").await
}

/// A GET with further header lines, each with its CRLF.
pub(crate) async fn get_with(address: SocketAddr, path: &str, lines: &str) -> Message {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{lines}\r\n")).await
}

/// A service that records what it gets.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    pub(crate) requests: mpsc::UnboundedReceiver<Message>,
    pub(crate) connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Upstream {
    /// The next request; it must have come by now.
    pub(crate) async fn request(&mut self) -> Message {
        tokio::time::timeout(LIMIT, self.requests.recv()).await.unwrap().unwrap()
    }

    /// How many requests came that nobody has looked at.
    pub(crate) fn unseen(&mut self) -> usize {
        let mut count = 0;
        while self.requests.try_recv().is_ok() {
            count += 1;
        }
        count
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// What an upstream does with the n-th request of a connection (both from 0): bytes to answer,
/// and whether it closes then.
pub(crate) type Script = dyn Fn(usize, &Message) -> (Vec<u8>, bool) + Send + Sync;

/// Answers every request with 200 and its body.
pub(crate) async fn echo() -> Upstream {
    upstream(Arc::new(|_, request: &Message| (ok(&request.body), false))).await
}

pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    answer.push_str(&String::from_utf8_lossy(body));
    answer.into_bytes()
}

/// Answers every request with these bytes.
pub(crate) async fn answering(answer: &'static str) -> Upstream {
    upstream(Arc::new(move |_, _: &Message| (answer.as_bytes().to_vec(), false))).await
}

/// Answers every request with these bytes and closes.
pub(crate) async fn answering_once(answer: &'static str) -> Upstream {
    upstream(Arc::new(move |_, _: &Message| (answer.as_bytes().to_vec(), true))).await
}

pub(crate) async fn upstream(script: Arc<Script>) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::unbounded_channel();
    let (connections, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let (count, stopped, tasks) = (Arc::clone(&connections), stop.clone(), TaskTracker::new());
    tasks.clone().spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stopped.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, _) = accepted.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let (sender, script, stopped) = (sender.clone(), Arc::clone(&script), stopped.clone());
            tasks.spawn(async move {
                let mut wire = Wire { stream, read: Vec::new() };
                let serve = async {
                    let mut number = 0;
                    loop {
                        // Idle connections may wait longer than a test's answers.
                        if wire.read.is_empty() && wire.stream.readable().await.is_err() {
                            return;
                        }
                        let Some(message) = wire.message().await else { return };
                        let (answer, close) = script(number, &message);
                        number += 1;
                        _ = sender.send(message);
                        if wire.stream.write_all(&answer).await.is_err() || close {
                            return;
                        }
                    }
                };
                tokio::select! { () = serve => (), () = stopped.cancelled() => () }
            });
        }
    });
    Upstream { addr, requests, connections, stop }
}

/// An address on which nothing listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
