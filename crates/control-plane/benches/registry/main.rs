//! The registry beside a real Consul: the same client, the same disk, in turns.
#![allow(clippy::unwrap_used, reason = "a bench panics on failure")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

mod checked;
mod client;
mod report;
mod server;

use std::time::{Duration, Instant};

use client::Client;
use report::{Better, Report};
use server::{Kind, Server};
use tokio::task::JoinSet;

const SERVICES: usize = 1000;
const INSTANCES: usize = 10;
/// Clients at once; they are in this process, on the cores that the server has.
const CLIENTS: usize = 16;
const QUERIES: usize = 8000;
const CHANGES: usize = 200;
/// Queries that wait for a change while the server is idle, one for each service.
const WAITING: usize = 1000;
/// Each figure is the median of these, taken in turns.
const ROUNDS: usize = 3;
const IDLE: Duration = Duration::from_secs(10);

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
    let is_checks_only = arguments.iter().any(|argument| argument == "--checks-only");
    let rounds =
        if arguments.iter().any(|argument| argument == "--one-round") { 1 } else { ROUNDS };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut report = Report::default();
        for kind in [Kind::Ours, Kind::Consul].repeat(rounds) {
            if !is_checks_only {
                measure(kind, &mut report).await;
            }
            checked::measure(kind, &mut report).await;
        }
        report.print(as_json);
    });
}

async fn measure(kind: Kind, report: &mut Report) {
    let server = Server::start(kind).await;
    let client = Client::new(&server.address);
    let mut add = |what: &str, unit, better, value| report.add(kind, what, unit, better, value);

    let (took, _) = spread(&client, SERVICES * INSTANCES, |client, number| async move {
        client.register(&format!("s{}", number / INSTANCES), number, 80).await;
    })
    .await;
    add("registrations", "1/s", Better::More, rate(SERVICES * INSTANCES, took));
    // Consul's agent tells its catalog later; until then the work is not done.
    let start = Instant::now();
    for service in [0, SERVICES / 2, SERVICES - 1] {
        while client.passing(&format!("s{service}")).await < INSTANCES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    add("until all are in the catalog", "s", Better::Less, (took + start.elapsed()).as_secs_f64());

    let (took, mut times) = spread(&client, QUERIES, |client, number| async move {
        assert_eq!(client.passing(&format!("s{}", number % SERVICES)).await, INSTANCES);
    })
    .await;
    add("queries of passing instances", "1/s", Better::More, rate(QUERIES, took));
    add("p99 of such a query", "ms", Better::Less, percentile(&mut times, 0.99));

    let mut times = changes(&client).await;
    add("change to watcher, median", "ms", Better::Less, percentile(&mut times, 0.5));
    add("change to watcher, p99", "ms", Better::Less, percentile(&mut times, 0.99));

    let mut waiting = JoinSet::new();
    for service in 0..WAITING {
        let client = client.clone();
        waiting.spawn(async move { client.wait(&format!("s{service}")).await });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.cpu_seconds();
    tokio::time::sleep(IDLE).await;
    let share = (server.cpu_seconds() - before) / IDLE.as_secs_f64() * 100.0;
    add("CPU at rest, 1,000 queries waiting", "%", Better::Less, share);
    add("memory, 10,000 instances", "MB", Better::Less, server.megabytes());
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Does so many things, by several clients at once; the time for all and that of each.
async fn spread<Call, Done>(client: &Client, count: usize, call: Call) -> (Duration, Vec<Duration>)
where
    Call: Fn(Client, usize) -> Done + Copy + Send + 'static,
    Done: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for first in 0..CLIENTS {
        let client = client.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            for number in (first..count).step_by(CLIENTS) {
                let start = Instant::now();
                call(client.clone(), number).await;
                times.push(start.elapsed());
            }
            times
        });
    }
    let times = tasks.join_all().await.into_iter().flatten().collect();
    (start.elapsed(), times)
}

/// From the sending of a change to the answer of a query that waited for it.
async fn changes(client: &Client) -> Vec<Duration> {
    let mut times = Vec::new();
    client.register("watched", 0, 1).await;
    while client.passing("watched").await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for change in 0..CHANGES {
        let index = client.index("watched").await;
        let waiting = client.clone();
        let waiting = tokio::task::spawn(async move {
            waiting.wait_from("watched", index).await;
            Instant::now()
        });
        // So that the query is there before the change is.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let start = Instant::now();
        client.register("watched", 0, 2 + change).await;
        times.push(waiting.await.unwrap() - start);
    }
    times
}

fn percentile(times: &mut [Duration], part: f64) -> f64 {
    times.sort();
    let at = ((times.len() - 1) as f64 * part).round() as usize;
    times[at].as_secs_f64() * 1000.0
}
