//! The port's suite against a real etcd.

use std::sync::Arc;

use regatta_config::center::conformance::{self, Compact};
use regatta_config_etcd::{EtcdCenter, Options};
use regatta_testkit::{Etcd, etcdctl};

/// Compacts by etcd's own command.
struct ByCommand(String);

#[async_trait::async_trait]
impl Compact for ByCommand {
    async fn compact(&self, revision: u64) {
        let output = etcdctl(&self.0, &["compaction", &revision.to_string()]).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn a_real_etcd_conforms() {
    let server = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    let center = EtcdCenter::try_new(&server.endpoint(), Options::default()).unwrap();
    conformance::all(Arc::new(center), &ByCommand(server.endpoint())).await;
}
