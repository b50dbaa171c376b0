//! Instances with checks: asked over TCP by the server, or reporting themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::client::Client;
use crate::report::{Better, Report};
use crate::server::{Kind, Server};
use crate::{INSTANCES, QUERIES, SERVICES, percentile, rate, spread};

/// How often each instance is asked.
const INTERVAL: Duration = Duration::from_secs(10);
/// What reports on itself.
const REPORTING: usize = 1000;
const REPORTS: usize = 8000;
/// How long the server is watched at rest: each check is due twice.
const REST: Duration = Duration::from_secs(20);
/// The longest wait until all pass; what it takes then is at least this.
const LONGEST: Duration = Duration::from_secs(180);

pub(crate) async fn measure(kind: Kind, report: &mut Report) {
    let server = Server::start(kind).await;
    let client = Client::new(&server.address);
    let mut add = |what: &str, unit, better, value| report.add(kind, what, unit, better, value);

    let (port, asked) = listener().await;
    let tcp = move |service: &str| {
        let every = INTERVAL.as_secs();
        let name = format!("\"Name\":\"tcp {service}\"");
        format!(r#"{{{name},"TCP":"127.0.0.1:{port}","Interval":"{every}s","Timeout":"2s"}}"#)
    };
    let (took, _) = spread(&client, SERVICES * INSTANCES, move |client, number| async move {
        let service = format!("c{}", number / INSTANCES);
        client.register_with_check(&service, number, &tcp(&service)).await;
    })
    .await;
    add("registrations with a TCP check", "1/s", Better::More, rate(SERVICES * INSTANCES, took));
    let start = Instant::now();
    for service in (0..SERVICES).step_by(50) {
        while client.passing(&format!("c{service}")).await < INSTANCES && start.elapsed() < LONGEST
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    add("until all of them pass", "s", Better::Less, (took + start.elapsed()).as_secs_f64());

    let (took, mut times) = spread(&client, QUERIES, |client, number| async move {
        client.passing(&format!("c{}", number % SERVICES)).await;
    })
    .await;
    add("queries beside 10,000 TCP checks", "1/s", Better::More, rate(QUERIES, took));
    add("p99 of such a query beside checks", "ms", Better::Less, percentile(&mut times, 0.99));

    let (before, asked_before) = (server.cpu_seconds(), asked.load(Ordering::Relaxed));
    tokio::time::sleep(REST).await;
    let share = (server.cpu_seconds() - before) / REST.as_secs_f64() * 100.0;
    let probes = (asked.load(Ordering::Relaxed) - asked_before) as f64 / REST.as_secs_f64();
    add("CPU, 10,000 TCP checks every 10 s", "%", Better::Less, share);
    add("probes made, of 1,000 due", "1/s", Better::More, probes);
    add("memory, 10,000 checked instances", "MB", Better::Less, server.megabytes());

    for number in 0..REPORTING {
        client.register_with_check("ttl", number, r#"{"TTL":"1h"}"#).await;
    }
    let (took, mut times) = spread(&client, REPORTS, |client, number| async move {
        client.report(&format!("service:ttl-{}", number % REPORTING)).await;
    })
    .await;
    add("reports on TTL checks", "1/s", Better::More, rate(REPORTS, took));
    add("p99 of such a report", "ms", Better::Less, percentile(&mut times, 0.99));
}

/// A port that takes every connection, and how many it has taken.
async fn listener() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, taken) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&taken);
    tokio::task::spawn(async move {
        loop {
            if listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (port, taken)
}
