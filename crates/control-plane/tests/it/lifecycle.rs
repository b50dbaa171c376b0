//! Start and stop, and what keeps it from starting.

use std::time::Duration;

use regatta_control_plane::{BindError, ControlPlane, Settings};
use tokio::net::TcpListener;

use crate::server::Server;

#[tokio::test]
async fn a_port_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.consul_listen = taken.local_addr().unwrap();
    settings.data_dir = folder.path().to_owned();
    let error = ControlPlane::bind(settings).await.unwrap_err();
    assert!(matches!(error, BindError::PortInUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("in use") && text.contains("another port"), "{text}");
}

#[tokio::test]
async fn a_store_in_use_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Server::at(([127, 0, 0, 1], 0).into(), folder.path()).await;
    let mut settings = Settings::default();
    settings.consul_listen = ([127, 0, 0, 1], 0).into();
    settings.data_dir = folder.path().to_owned();
    let error = ControlPlane::bind(settings).await.unwrap_err();
    assert!(matches!(error, BindError::Store { .. }), "{error:?}");
    assert!(error.to_string().contains("no other control plane"), "{error}");
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    let mut settings = Settings::default();
    settings.max_connections = 0;
    let error = ControlPlane::bind(settings).await.unwrap_err();
    let text = regatta_core::Chain(&error).to_string();
    assert!(text.contains("max_connections is 0"), "{text}");
}

#[tokio::test]
async fn a_blocking_query_is_answered_and_not_cut_when_it_stops() {
    let server = Server::start().await;
    let index = server.get("/v1/catalog/services").await.index();
    let url = format!("http://{}/v1/catalog/services?index={index}&wait=5m", server.address);
    let query = server.client.get(url).send();
    let stop = async {
        while !server.get("/metrics").await.text.contains("blocked_queries 1\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.stop().await;
    };
    let (answer, ()) = tokio::join!(query, stop);
    assert_eq!(answer.unwrap().status(), 200);
}
