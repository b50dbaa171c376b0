//! The gateway beside nginx and HAProxy: CPU per request, memory per idle connection.
//!
//! One worker of each proxy on one core; load and services on another. Rounds are interleaved and
//! medians compared, so that what else the machine does hits all alike. What differs is written
//! beside each peer's configuration in `peers.rs`.
#![allow(clippy::unwrap_used, reason = "a bench stops at the first thing that goes wrong")]

mod http2;
mod load;
mod peers;
mod report;
mod round;

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::Load;
use crate::peers::Proxy;
use crate::report::Figure;
use crate::round::Round;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests in one round of one proxy.
const REQUESTS: usize = 100_000;

/// Client connections.
const CONNECTIONS: usize = 64;

/// Connections held idle for the memory figure.
const IDLE: usize = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve-gateway") {
        return peers::serve_gateway(&arguments[at + 1..]);
    }
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let json = value("--format").as_deref() == Some("json");
    let rounds: usize = value("--rounds").map_or(5, |text| text.parse().unwrap());
    let only = value("--only");
    for (program, package) in [("nginx", "nginx"), ("haproxy", "haproxy")] {
        if !peers::is_installed(program) {
            eprintln!(
                "`{program}` is not installed; run: apt-get install --no-install-recommends {package}"
            );
            std::process::exit(1);
        }
    }
    if let Some(requests) = value("--count") {
        let round = Round::ALL.into_iter().find(|round| only.as_deref() == Some(round.name()));
        return count(round.unwrap_or(Round::Plain), requests.parse().unwrap());
    }
    peers::pin_self(1);
    let requests: usize = value("--requests").map_or(REQUESTS, |text| text.parse().unwrap());
    let (services, grpc) = (load::services(false), load::services(true));
    let mut figures = Vec::new();
    for round in Round::ALL {
        if only.as_deref().is_some_and(|only| only != round.name()) {
            continue;
        }
        let services = if round == Round::Grpc { &grpc } else { &services };
        figures.extend(compare(round, services, rounds, requests));
    }
    report::print(&figures, json);
}

/// Serves so many requests by a gateway in this process, for tools that count instructions: its worker
/// is the thread `gateway-0`.
fn count(what: Round, requests: usize) {
    let services = load::services(what == Round::Grpc);
    let address = peers::free_address();
    std::thread::spawn(move || {
        let services = services.map(|service| service.to_string());
        let [one, two] = services;
        peers::serve_gateway(&[address.to_string(), one, two, what.name().to_owned()]);
    });
    while std::net::TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(25));
    }
    Load::new(what).run(address, CONNECTIONS, requests);
}

fn compare(what: Round, services: &[SocketAddr; 2], rounds: usize, requests: usize) -> Vec<Figure> {
    let mut proxies = [
        Proxy::gateway(services, what),
        Proxy::nginx(services, what),
        Proxy::haproxy(services, what),
    ];
    let load = Load::new(what);
    for proxy in &mut proxies {
        proxy.wait_until_ready();
        load.run(proxy.address, CONNECTIONS, 5_000.min(requests));
    }
    let mut seconds = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for turn in 0..proxies.len() {
            // Each round begins with another one.
            let number = (round + turn) % proxies.len();
            let proxy = &proxies[number];
            let before = proxy.cpu();
            load.run(proxy.address, CONNECTIONS, requests);
            seconds[number].push((proxy.cpu() - before) * 100_000.0 / requests as f64);
        }
    }
    let cpu = seconds.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    });
    let mut figures =
        report::beside_ours(&format!("{}: CPU", what.name()), &cpu, "s/100k requests");
    if what == Round::Plain {
        let memory = [0, 1, 2].map(|number| {
            let proxy: &Proxy = &proxies[number];
            let before = proxy.resident_kib();
            let held = load.hold_idle(proxy.address, IDLE);
            std::thread::sleep(Duration::from_millis(500));
            let after = proxy.resident_kib();
            drop(held);
            (after - before).max(0.0) / IDLE as f64
        });
        figures.extend(report::beside_ours("memory per idle connection", &memory, "KiB"));
    }
    figures
}
