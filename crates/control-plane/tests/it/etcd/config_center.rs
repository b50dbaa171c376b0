//! Our own config center's suite against the embedded store.

use std::sync::Arc;

use regatta_config::center::conformance::{self, Compact};
use regatta_config_etcd::{EtcdCenter, Options};
use regatta_proto::etcdserverpb as pb;

use super::Client;

/// Compacts by etcd's own call.
struct ByCall(Client);

#[async_trait::async_trait]
impl Compact for ByCall {
    async fn compact(&self, revision: u64) {
        let revision = i64::try_from(revision).unwrap();
        let request = pb::CompactionRequest { revision, physical: false };
        self.0.kv.clone().compact(request).await.unwrap();
    }
}

#[tokio::test]
async fn the_embedded_store_conforms_as_a_config_center() {
    let server = super::server().await;
    let center = EtcdCenter::try_new(&server.etcd_endpoint(), Options::default()).unwrap();
    let client = Client::connect(&server.etcd_endpoint()).await;
    conformance::all(Arc::new(center), &ByCall(client)).await;
}
