//! Consul's keys, sessions, events and transactions: one suite, run against the control plane and
//! against a real Consul.

mod blocking;
mod crash;
mod events;
mod keys;
mod limits;
mod sessions;
mod survived;
mod txns;

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::api::{Answer, Api};
use super::consul::{Target, embedded, real};
use super::server::LIMIT;

impl Api {
    /// A DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, "").await
    }

    /// Puts a value and says whether the server did.
    pub(crate) async fn put_key(&self, path: &str, value: &str) -> bool {
        let answer = self.put(&format!("/v1/kv/{path}"), value).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json().as_bool().unwrap()
    }

    /// The pair of a key.
    pub(crate) async fn pair(&self, key: &str) -> Value {
        self.get(&format!("/v1/kv/{key}")).await.json()[0].clone()
    }

    /// Begins a session.
    pub(crate) async fn session(&self, body: &str) -> String {
        let answer = self.put("/v1/session/create", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["ID"].as_str().unwrap().to_owned()
    }

    /// Waits until the text at a path passes this test.
    pub(crate) async fn until_text(&self, path: &str, test: impl Fn(&str) -> bool) {
        let wait = async {
            while !test(&self.get(path).await.text) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap();
    }
}

/// No keys and no sessions, as a check begins.
pub(crate) async fn clear(target: &Target) {
    target.delete("/v1/kv/?recurse").await;
    for session in target.get("/v1/session/list").await.json().as_array().unwrap() {
        let id = session["ID"].as_str().unwrap();
        target.done(&format!("/v1/session/destroy/{id}"), "").await;
    }
}

macro_rules! on_both {
    ($($name:ident: $suite:path;)+) => {
        mod embedded {
            use super::{events, keys, sessions, txns};

            $(
                #[tokio::test]
                async fn $name() {
                    let (_server, target) = super::embedded().await;
                    $suite(&target).await;
                }
            )+
        }

        mod real_consul {
            use super::{events, keys, sessions, txns};

            $(
                #[tokio::test]
                async fn $name() {
                    let (_server, target) = super::real().await;
                    $suite(&target).await;
                }
            )+
        }
    };
}

on_both! {
    values_are_written_listed_and_deleted: keys::suite;
    sessions_hold_locks: sessions::suite;
    transactions_are_whole: txns::suite;
    events_reach_who_lists: events::suite;
}
