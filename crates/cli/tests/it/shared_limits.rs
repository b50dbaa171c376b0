//! Gateways that count together in a real Redis.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use regatta_testkit::Redis;

use crate::shop::{REGATTA, Shop, until};

/// `regatta gateway` on a free port; gone with this value.
struct Gateway {
    process: Child,
    at: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path) -> Self {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(REGATTA);
        command.args(["gateway", "--listen", &at.to_string(), "--admin", "127.0.0.1:0"]);
        command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let gateway = Self { process: command.spawn().unwrap(), at };
        until("the gateway answers", || gateway.ask("/health/live", "probe").starts_with("HTTP"));
        gateway
    }

    /// What it answers to this client.
    fn ask(&self, path: &str, client: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.at) else { return String::new() };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-Client-ID: {client}\r\n\r\n",
            self.at
        );
        let mut answer = String::new();
        let sent = stream.write_all(request.as_bytes());
        match sent.and_then(|()| stream.read_to_string(&mut answer)) {
            Ok(_) => answer,
            Err(_) => String::new(),
        }
    }

    /// Whether a request passes the limits; what comes after them has no instance.
    fn admits(&self, path: &str, client: &str) -> bool {
        let answer = self.ask(path, client);
        match answer.split(' ').nth(1) {
            Some("503") => true,
            Some("429") => {
                assert!(answer.to_lowercase().contains("\r\nretry-after: "), "{answer}");
                false
            }
            _ => panic!("{answer}"),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn gateways_share_the_limit_of_a_route_through_redis_and_count_alone_without_it() {
    let mut redis = Redis::start().await.unwrap();
    let shop = Shop::empty();
    shop.write_manifest(&format!(
        "name: shop
services:
  a:
    run: {{ command: [sh] }}
gateway:
  limits: {{ url: '{}' }}
  routes:
  - {{ path: /a/login, auth: none, rate_limit: 5/min }}
",
        redis.url()
    ));
    let gateways = [Gateway::start(shop.path()), Gateway::start(shop.path())];
    // In turn, so that neither would come to its limit alone.
    let admitted = |client: &str| {
        let turns = gateways.iter().cycle().take(8);
        turns.filter(|gateway| gateway.admits("/a/login", client)).count()
    };
    assert_eq!(admitted("ann"), 5, "both together");
    assert_eq!(admitted("bob"), 5, "each client for itself");
    assert!(gateways.iter().all(|gateway| gateway.admits("/a/other", "ann")), "only that route");
    redis.stop();
    let turns = gateways.iter().cycle().take(12);
    let alone = turns.filter(|gateway| gateway.admits("/a/login", "cid")).count();
    assert_eq!(alone, 10, "five of each, which count alone");
}
