//! Endpoints that do not answer.

use std::time::Duration;

use regatta_config::center::{CenterError, ConfigCenter, Expected};
use regatta_config_etcd::{EtcdCenter, InvalidOptions, Options};
use regatta_testkit::{Etcd, free_port};

#[tokio::test]
async fn nobody_there_is_an_outage_and_no_refusal() {
    let url = format!("etcd://127.0.0.1:{}", free_port());
    let center = EtcdCenter::try_new(&url, Options::default()).unwrap();
    let error = center.get("/a").await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert!(center.set("/a", "1", Expected::Any).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn one_that_hangs_is_given_up_in_time() {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = Options::default();
    options.request_timeout = Duration::from_millis(200);
    let url = silent.local_addr().unwrap().to_string();
    let center = EtcdCenter::try_new(&url, options).unwrap();
    let error = center.get("/a").await.unwrap_err();
    assert!(matches!(error, CenterError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_dead_endpoint_is_left_for_one_that_lives() {
    let server = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    let url = format!("http://127.0.0.1:{},http://{}", free_port(), server.endpoint());
    let center = EtcdCenter::try_new(&url, Options::default()).unwrap();
    assert_eq!(center.get("/a").await.unwrap(), None);
    center.set("/a", "1", Expected::Absent).await.unwrap();
}

#[tokio::test]
async fn wrong_options_are_told_at_once() {
    let open = |url: &str, options: Options| EtcdCenter::try_new(url, options).unwrap_err();
    assert_eq!(open("https://db", Options::default()), InvalidOptions::NoCa);
    let mut half = Options::default();
    half.user = Some("ada".to_owned());
    assert_eq!(open("http://db", half), InvalidOptions::HalfUser);
    let mut zero = Options::default();
    zero.request_timeout = Duration::ZERO;
    assert_eq!(open("http://db", zero), InvalidOptions::Zero { name: "request_timeout" });
}
