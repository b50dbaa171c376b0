//! A service with the whole chassis on, beside bare axum.
//!
//! Both serve the same handlers in this process, each on a runtime of one worker thread, and are
//! called in turns by one load generator over loopback. Two figures for each kind of request: what
//! the server's thread spent on a request (CPU time, from the kernel's scheduler statistics), and
//! requests per second. The ratio is ours to the peer's throughput, so more is better and 1 is even.
//!
//! `cargo bench -p regatta --bench chassis -- [--format json] [--rounds N] [--seconds S]
//! [--only TEXT]`
//!
//! With `--count N --server ours|bare` it only sends N requests of each kind to one of the servers, to
//! be run under `valgrind --tool=callgrind --separate-threads=yes`: the instructions of the thread
//! named like the server say the same on a machine that is busy. Two counts and their difference
//! leave out the start.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run may stop")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use regatta::auth::{Grant, Issuer, SigningKey, now};
use regatta::{CancellationToken, Config, Secret, Service};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

const CONNECTIONS: usize = 32;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Deserialize, Serialize)]
struct Order {
    user_id: i32,
    amount: u32,
    note: String,
}

/// One server, on a thread of its own.
struct Server {
    address: SocketAddr,
    /// Where the kernel counts the thread's time.
    schedstat: PathBuf,
    drain: CancellationToken,
    _runtime: Runtime,
}

/// What one turn came to.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    cpu_micros: f64,
}

struct Arguments {
    json: bool,
    rounds: usize,
    seconds: f64,
    /// Only the kinds of request whose name has this in it.
    only: String,
    /// Send so many requests, and measure nothing.
    count: Option<u64>,
    /// To which server, when they are counted.
    server: String,
}

/// When a connection has sent enough.
#[derive(Clone, Copy)]
enum Limit {
    Until(Instant),
    Requests(u64),
}

fn main() {
    let arguments = arguments();
    let start_ours = || start("ours", |listening| async move { chassis(listening).await });
    let start_bare = || start("bare", |listening| async move { bare_axum(listening).await });
    let load = Builder::new_current_thread().enable_all().build().unwrap();
    let token = {
        let key = SigningKey::hs256(&Secret::new(SECRET)).unwrap();
        Issuer::new(key).issuer("dev").issue(&Grant::new("1").role("user"), now()).unwrap()
    };
    let body = r#"{"user_id":1,"amount":250,"note":"a note of some forty characters, or so"}"#;
    let order = format!(
        "POST /orders HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let get = "GET /hello HTTP/1.1\r\nhost: bench\r\n\r\n".to_owned();
    let secured =
        format!("GET /secured HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n");
    let cases = [
        ("GET, short text", get),
        ("POST, JSON in and out", order),
        ("GET, token and role checked by ours only", secured),
    ];
    if let Some(count) = arguments.count {
        let server = if arguments.server == "bare" { start_bare() } else { start_ours() };
        for (_, request) in cases.iter().filter(|(what, _)| what.contains(&arguments.only)) {
            let limit = Limit::Requests(count.div_ceil(CONNECTIONS as u64));
            load.block_on(drive(server.address, request, limit));
        }
        return;
    }
    let (ours, bare) = (start_ours(), start_bare());
    let turn = |server: &Server, request: &str, seconds: f64| {
        let before = cpu_nanos(server);
        let limit = Limit::Until(Instant::now() + Duration::from_secs_f64(seconds));
        let (requests, elapsed) = load.block_on(drive(server.address, request, limit));
        let spent = cpu_nanos(server) - before;
        let requests = requests as f64;
        Turn {
            per_second: requests / elapsed.as_secs_f64(),
            cpu_micros: spent as f64 / 1e3 / requests,
        }
    };
    for (what, request) in cases.iter().filter(|(what, _)| what.contains(&arguments.only)) {
        for server in [&ours, &bare] {
            turn(server, request, 0.3);
        }
        let rounds = (0..arguments.rounds).map(|round| {
            // Who goes first alternates, so that a machine that slows down harms both alike.
            let (first, second) = if round % 2 == 0 { (&ours, &bare) } else { (&bare, &ours) };
            let turns = [first, second].map(|server| turn(server, request, arguments.seconds));
            if round % 2 == 0 { (turns[0], turns[1]) } else { (turns[1], turns[0]) }
        });
        let rounds: Vec<_> = rounds.collect();
        let median_of = |value: fn(&(Turn, Turn)) -> f64| median(rounds.iter().map(value));
        report(
            &arguments,
            &format!("chassis, CPU: {what}"),
            median_of(|(ours, _)| ours.cpu_micros),
            median_of(|(_, bare)| bare.cpu_micros),
            median_of(|(ours, bare)| bare.cpu_micros / ours.cpu_micros),
            "us/request",
        );
        report(
            &arguments,
            &format!("chassis, throughput: {what}"),
            median_of(|(ours, _)| ours.per_second),
            median_of(|(_, bare)| bare.per_second),
            median_of(|(ours, bare)| ours.per_second / bare.per_second),
            "requests/s",
        );
    }
    ours.drain.cancel();
    bare.drain.cancel();
}

fn arguments() -> Arguments {
    let given: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = given.iter().position(|argument| argument == name)?;
        given.get(at + 1).cloned()
    };
    Arguments {
        json: value("--format").as_deref() == Some("json"),
        rounds: value("--rounds").and_then(|text| text.parse().ok()).unwrap_or(7),
        seconds: value("--seconds").and_then(|text| text.parse().ok()).unwrap_or(1.0),
        only: value("--only").unwrap_or_default(),
        count: value("--count").and_then(|text| text.parse().ok()),
        server: value("--server").unwrap_or_default(),
    }
}

fn report(arguments: &Arguments, what: &str, ours: f64, peer: f64, ratio: f64, unit: &str) {
    if arguments.json {
        let line = serde_json::json!({
            "what": what, "ours": ours, "peer": "bare axum", "peer_value": peer,
            "ratio": ratio, "unit": unit,
        });
        println!("{line}");
    } else {
        println!("{what:<62} {ours:>10.2} {peer:>10.2} {unit:<11} ratio {ratio:.3}");
    }
}

/// Starts a server on a runtime of one worker.
fn start<F, R>(name: &'static str, serve: F) -> Server
where
    F: FnOnce(Listening) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .unwrap();
    let (told, heard) = mpsc::channel();
    let drain = CancellationToken::new();
    let listening = Listening { told, drain: drain.clone() };
    // The runtime is dropped, and with it this task, when the bench ends.
    let _serving = runtime.handle().spawn(serve(listening));
    let (address, schedstat) = heard.recv().unwrap();
    Server { address, schedstat, drain, _runtime: runtime }
}

/// What a server tells when it listens; called on its worker thread.
struct Listening {
    told: mpsc::Sender<(SocketAddr, PathBuf)>,
    drain: CancellationToken,
}

impl Listening {
    fn at(&self, address: SocketAddr) {
        let thread = std::fs::read_link("/proc/thread-self").unwrap();
        let schedstat = PathBuf::from("/proc").join(thread).join("schedstat");
        self.told.send((address, schedstat)).unwrap();
    }
}

async fn chassis(listening: Listening) {
    let yaml = format!(
        "server: {{port: 0}}\nregistry: {{url: none}}\nlog: {{level: warn}}\n\
         auth: {{secret: {SECRET}, issuer: dev}}"
    );
    let config = Config::builder().yaml("bench.yaml", &yaml).build().unwrap();
    let service = Service::builder("bench-service").config(config).build().await.unwrap();
    let guard = service.auth().unwrap();
    let routes = Router::new()
        .route("/hello", get(async || "hello"))
        .route(
            "/orders",
            post(async |regatta::Json(order): regatta::Json<Order>| regatta::Json(order)),
        )
        .merge(
            Router::new().route("/secured", get(async || "hello")).route_layer(guard.role("user")),
        );
    let server = service.rest(routes).bind().await.unwrap();
    listening.at(server.addr());
    server.run(listening.drain).await;
}

async fn bare_axum(listening: Listening) {
    let routes = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/orders", post(async |axum::Json(order): axum::Json<Order>| axum::Json(order)))
        .route("/secured", get(async || "hello"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listening.at(listener.local_addr().unwrap());
    // The listener's own streams have no delay off; the chassis sets TCP_NODELAY, so does the peer.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).unwrap();
    });
    axum::serve(listener, routes).await.unwrap();
}

/// Sends the same request over all connections again and again.
async fn drive(address: SocketAddr, request: &str, limit: Limit) -> (u64, Duration) {
    let start = Instant::now();
    let connections = (0..CONNECTIONS).map(|_| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 4096];
        let mut answers = 0;
        while match limit {
            Limit::Until(end) => Instant::now() < end,
            Limit::Requests(most) => answers < most,
        } {
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut filled = 0;
            loop {
                let count = stream.read(&mut buffer[filled..]).await.unwrap();
                assert!(count > 0, "the server closed a connection");
                filled += count;
                if is_complete(&buffer[..filled]) {
                    break;
                }
            }
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
            answers += 1;
        }
        answers
    });
    let answers = futures::future::join_all(connections).await;
    (answers.into_iter().sum(), start.elapsed())
}

/// Whether the whole answer is there; both servers say its length in lower case.
fn is_complete(answer: &[u8]) -> bool {
    let find = |needle: &[u8]| answer.windows(needle.len()).position(|part| part == needle);
    let (Some(head), Some(length)) = (find(b"\r\n\r\n"), find(b"content-length: ")) else {
        return false;
    };
    let digits = answer[length + 16..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    answer.len() >= head + 4 + length
}

/// CPU time of the server's thread so far.
fn cpu_nanos(server: &Server) -> u64 {
    let text = std::fs::read_to_string(&server.schedstat).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
