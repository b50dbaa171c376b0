//! Puts and ranges per second, their slowest hundredth, and memory.

use std::time::Duration;

use futures::StreamExt;
use regatta_proto::etcdserverpb as pb;
use regatta_proto::etcdserverpb::kv_client::KvClient;
use regatta_proto::etcdserverpb::maintenance_client::MaintenanceClient;

use crate::client::{Call, KEYS, connect, load, put};
use crate::report::{Better, Report};
use crate::server::Server;

const CLIENTS: [u32; 3] = [1, 16, 64];
const MANY_KEYS: u32 = 100_000;
/// Long enough for what a load has allocated to be given back.
const REST: Duration = Duration::from_secs(3);

pub(crate) async fn measure(server: &Server, report: &mut Report) {
    fill(server, 0, KEYS).await;
    for clients in CLIENTS {
        for (name, call) in [("puts", Call::Put), ("ranges", Call::Range)] {
            let outcome = load(&server.endpoint, clients, call).await;
            let what = format!("{name} per second, {clients} clients");
            report.add(server.kind, what, "1/s", Better::More, outcome.per_second);
            let what = format!("{name}, p99, {clients} clients");
            let millis = outcome.p99.as_secs_f64() * 1e3;
            report.add(server.kind, what, "ms", Better::Less, millis);
        }
    }
}

/// Memory and disk of a server that was just started, with so many keys of 27 bytes and values of
/// 256, and then with an older version of each: both servers have done the same.
pub(crate) async fn held(server: &Server, report: &mut Report) {
    tokio::time::sleep(REST).await;
    let before = server.megabytes();
    let mut add = |what: &str, unit, value| {
        report.add(server.kind, what.to_owned(), unit, Better::Less, value);
    };
    for (with, versions) in [("", 1.0), (" and as many older versions", 2.0)] {
        fill(server, 0, MANY_KEYS).await;
        tokio::time::sleep(REST).await;
        let megabytes = server.megabytes();
        add(&format!("memory, 100,000 keys{with}"), "MB", megabytes);
        let each = (megabytes - before) * 1e6 / f64::from(MANY_KEYS) / versions;
        add(&format!("memory of a version, 100,000 keys{with}"), "B", each);
        let status = MaintenanceClient::new(connect(&server.endpoint).await)
            .status(pb::StatusRequest {})
            .await
            .unwrap()
            .into_inner();
        let said = status.db_size as f64 / 1e6;
        add(&format!("disk as the server says, 100,000 keys{with}"), "MB", said);
        add(&format!("disk, all files, 100,000 keys{with}"), "MB", server.disk_megabytes());
    }
}

async fn fill(server: &Server, from: u32, to: u32) {
    let kv = KvClient::new(connect(&server.endpoint).await);
    let puts = (from..to).map(|number| {
        let mut kv = kv.clone();
        async move { kv.put(put(number)).await.unwrap() }
    });
    futures::stream::iter(puts).buffer_unordered(64).for_each(|_| async {}).await;
}
