//! Consul's HTTP API as a test calls it, whoever serves it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::server::LIMIT;

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Api {
    /// Such as `127.0.0.1:8500`.
    pub(crate) address: String,
    pub(crate) client: reqwest::Client,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Api {
    pub(crate) fn new(address: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address: address.to_owned(), client }
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
