//! Consul's API as the bench calls it.

use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    client: reqwest::Client,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base: format!("http://{address}/v1"), client }
    }

    pub(crate) async fn register(&self, service: &str, number: usize, port: usize) {
        self.put("agent/service/register", instance(service, number, port, "")).await;
    }

    /// The same with a check, its definition in JSON.
    pub(crate) async fn register_with_check(&self, service: &str, number: usize, check: &str) {
        let check = format!(r#","Check":{check}"#);
        self.put("agent/service/register", instance(service, number, 80, &check)).await;
    }

    /// Says that a TTL check passes.
    pub(crate) async fn report(&self, check: &str) {
        self.put(&format!("agent/check/pass/{check}"), String::new()).await;
    }

    async fn put(&self, path: &str, body: String) {
        let url = format!("{}/{path}", self.base);
        let answer = self.client.put(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    /// How many instances pass.
    pub(crate) async fn passing(&self, service: &str) -> usize {
        let url = format!("{}/health/service/{service}?passing", self.base);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        // Cheaper than reading it all, and the client is on the server's cores.
        text.matches("\"Service\":{").count()
    }

    pub(crate) async fn index(&self, service: &str) -> u64 {
        let url = format!("{}/health/service/{service}?passing", self.base);
        let answer = self.client.get(url).send().await.unwrap();
        answer.headers()["x-consul-index"].to_str().unwrap().parse().unwrap()
    }

    /// Waits for a change after this index.
    pub(crate) async fn wait_from(&self, service: &str, index: u64) {
        let url = format!("{}/health/service/{service}?passing&index={index}&wait=60s", self.base);
        let call = self.client.get(url).timeout(Duration::from_secs(120)).send();
        assert_eq!(call.await.unwrap().status(), 200);
    }

    /// Waits for a change after now, and again, until it is dropped.
    pub(crate) async fn wait(&self, service: &str) {
        loop {
            let index = self.index(service).await;
            self.wait_from(service, index).await;
        }
    }
}

fn instance(service: &str, number: usize, port: usize, check: &str) -> String {
    format!(
        r#"{{"Name":"{service}","ID":"{service}-{number}","Address":"10.0.0.1","Port":{port},
            "Tags":["a","b"],"Meta":{{"version":"1"}}{check}}}"#
    )
}
