//! A control plane in this process, as a test uses it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use regatta_control_plane::{ControlPlane, Settings};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a test waits for what has to come.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A control plane that runs until it is dropped or stopped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    etcd: Option<SocketAddr>,
    pub(crate) client: reqwest::Client,
    tasks: TaskTracker,
    drain: CancellationToken,
    _folder: Option<TempDir>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Server {
    /// On a free port with a new store.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = settings(folder.path());
        change(&mut settings);
        let mut server = Self::run(settings).await;
        server._folder = Some(folder);
        server
    }

    /// With etcd's interface, and the store in this folder.
    pub(crate) async fn with_etcd_in(folder: &Path) -> Self {
        let mut settings = settings(folder);
        settings.etcd.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self::run(settings).await
    }

    /// Where etcd's interface is.
    pub(crate) fn etcd_endpoint(&self) -> String {
        self.etcd.expect("the test asked for it").to_string()
    }

    /// At this address with the store in this folder.
    pub(crate) async fn at(address: SocketAddr, folder: &Path) -> Self {
        let mut settings = settings(folder);
        settings.consul_listen = address;
        Self::run(settings).await
    }

    async fn run(settings: Settings) -> Self {
        let control_plane = ControlPlane::bind(settings).await.unwrap();
        let (address, drain) = (control_plane.addr(), CancellationToken::new());
        let etcd = control_plane.etcd_addr();
        let tasks = TaskTracker::new();
        tasks.spawn(control_plane.run(drain.clone()));
        tasks.close();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address, etcd, client, tasks, drain, _folder: None }
    }

    /// Stops it and waits for the end; its store can be opened again then.
    pub(crate) async fn stop(self) {
        self.drain.cancel();
        tokio::time::timeout(LIMIT, self.tasks.wait()).await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method, url).body(body.to_owned()).timeout(LIMIT);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// A PUT that has to succeed.
    pub(crate) async fn done(&self, path: &str, body: &str) {
        let answer = self.put(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }

    /// Waits until the JSON at a path passes this test.
    pub(crate) async fn until(&self, path: &str, test: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let answer = self.get(path).await;
                let value = serde_json::from_str(&answer.text).unwrap_or_default();
                if test(&value) {
                    return value;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(value) => value,
            Err(_) => panic!("not so within {LIMIT:?}: {path}: {}", self.get(path).await.text),
        }
    }

    /// The ids of the passing instances of a service.
    pub(crate) async fn passing(&self, service: &str) -> Vec<String> {
        let entries = self.get(&format!("/v1/health/service/{service}?passing=1")).await.json();
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["Service"]["ID"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn index(&self) -> u64 {
        self.header("x-consul-index").parse().unwrap()
    }
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.consul_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.data_dir = folder.to_owned();
    settings
}
