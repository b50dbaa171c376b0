//! The key-value store beside a real etcd: the same client, the same disk, in turns.
#![allow(clippy::unwrap_used, reason = "a bench panics on failure")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

mod client;
mod keys;
mod report;
mod server;
mod watching;

use report::Report;
use server::{Kind, Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each figure is the median of these, taken in turns.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The server's own process begins here, too.
    if let [serve, folder] = arguments.as_slice()
        && serve == "--serve"
    {
        server::serve(folder);
        return;
    }
    let as_json = arguments.windows(2).any(|pair| pair == ["--format", "json"]);
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let parts = Parts { is_timed: !has("--held-only"), is_held: !has("--timed-only") };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(parts, as_json));
}

/// What is measured: how fast it is, or what it takes to hold.
#[derive(Clone, Copy)]
struct Parts {
    is_timed: bool,
    is_held: bool,
}

async fn run(parts: Parts, as_json: bool) {
    let mut report = Report::default();
    for _ in 0..ROUNDS {
        for kind in [Kind::Ours, Kind::Etcd] {
            if parts.is_timed {
                let server = Server::start(kind).await;
                keys::measure(&server, &mut report).await;
                watching::measure(&server, &mut report).await;
            }
            if parts.is_held {
                keys::held(&Server::start(kind).await, &mut report).await;
            }
        }
    }
    report.print(as_json);
}
