//! Values: read, written, listed, deleted.

use serde_json::{Value, json};

use super::clear;
use crate::consul::Target;
use crate::server::Server;

/// Every check of this file that a real Consul passes, too.
pub(crate) async fn suite(server: &Target) {
    clear(server).await;
    a_value_is_read_back_with_its_numbers(server).await;
    clear(server).await;
    raw_bytes_and_empty_values_come_back_as_they_are(server).await;
    clear(server).await;
    a_key_that_is_not_there_is_404_without_a_body_but_with_an_index(server).await;
    clear(server).await;
    prefixes_list_in_the_order_of_the_bytes(server).await;
    clear(server).await;
    keys_may_be_escaped_and_have_slashes_anywhere(server).await;
    clear(server).await;
    a_value_is_set_only_at_the_index_it_has(server).await;
    clear(server).await;
    keys_are_deleted_alone_by_prefix_and_at_an_index(server).await;
    clear(server).await;
    a_wrong_method_is_405_and_another_datacenter_an_error(server).await;
}

async fn a_value_is_read_back_with_its_numbers(server: &Target) {
    assert!(server.put_key("app/a?flags=18446744073709551615", "one").await);
    let answer = server.get("/v1/kv/app/a").await;
    let pair = answer.json()[0].clone();
    assert_eq!(pair["Key"], "app/a");
    assert_eq!(pair["Value"], "b25l");
    assert_eq!(pair["Flags"], json!(u64::MAX));
    assert_eq!(pair["LockIndex"], 0);
    assert_eq!(pair["CreateIndex"], pair["ModifyIndex"]);
    assert!(pair.get("Session").is_none());
    assert_eq!(pair["ModifyIndex"], answer.index());
    assert_eq!(answer.header("x-consul-knownleader"), "true");
    assert!(server.put_key("app/a", "two").await);
    let second = server.pair("app/a").await;
    assert_eq!(second["CreateIndex"], pair["CreateIndex"]);
    assert!(second["ModifyIndex"].as_u64() > pair["ModifyIndex"].as_u64());
    assert_eq!(second["Flags"], 0);
    // The same again is no change.
    assert!(server.put_key("app/a", "two").await);
    assert_eq!(server.pair("app/a").await, second);
    assert!(server.put_key("app/a?flags=1", "two").await);
    assert!(server.pair("app/a").await["ModifyIndex"].as_u64() > second["ModifyIndex"].as_u64());
}

async fn raw_bytes_and_empty_values_come_back_as_they_are(server: &Target) {
    assert!(server.put_key("empty", "").await);
    assert_eq!(server.pair("empty").await["Value"], Value::Null);
    assert!(server.put_key("text", "{\"a\": 1}\n").await);
    let raw = server.get("/v1/kv/text?raw").await;
    assert_eq!((raw.status.as_u16(), raw.text.as_str()), (200, "{\"a\": 1}\n"));
    assert!(raw.index() > 0);
    assert_eq!(server.get("/v1/kv/empty?raw=1").await.text, "");
    assert_eq!(server.get("/v1/kv/none?raw").await.status, 404);
}

async fn a_key_that_is_not_there_is_404_without_a_body_but_with_an_index(server: &Target) {
    for path in ["/v1/kv/none", "/v1/kv/none?recurse", "/v1/kv/none?keys"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, ""), "{path}");
        assert!(answer.index() > 0);
    }
    assert_eq!(server.get("/v1/kv/?keys").await.json(), json!([]));
    assert_eq!(server.get("/v1/kv/?recurse").await.status, 404);
    assert_eq!(server.get("/v1/kv/").await.status, 400);
    assert_eq!(server.put("/v1/kv/", "x").await.text, "Missing key name");
    assert_eq!(server.delete("/v1/kv/").await.status, 400);
}

async fn prefixes_list_in_the_order_of_the_bytes(server: &Target) {
    for key in ["b", "a/c/d", "a", "a/", "a/B", "a/c/e", "%C3%BC/x", "ab"] {
        assert!(server.put_key(key, key).await);
    }
    let found = |value: Value| -> Vec<String> {
        let pairs = value.as_array().unwrap().iter();
        pairs.map(|pair| pair["Key"].as_str().unwrap().to_owned()).collect()
    };
    let all = server.get("/v1/kv/?recurse").await.json();
    assert_eq!(found(all), ["a", "a/", "a/B", "a/c/d", "a/c/e", "ab", "b", "ü/x"]);
    let some = server.get("/v1/kv/a/c?recurse=True").await.json();
    assert_eq!(found(some), ["a/c/d", "a/c/e"]);
    let keys = server.get("/v1/kv/a/?keys&separator=/").await.json();
    assert_eq!(keys, json!(["a/", "a/B", "a/c/"]));
    let keys = server.get("/v1/kv/?keys=1&separator=%2F").await.json();
    assert_eq!(keys, json!(["a", "a/", "ab", "b", "ü/"]));
    assert_eq!(server.get("/v1/kv/ü?keys").await.json(), json!(["ü/x"]));
}

async fn keys_may_be_escaped_and_have_slashes_anywhere(server: &Target) {
    for (path, key) in [
        ("a%2Fb", "a/b"),
        ("with%20space+plus", "with space+plus"),
        ("%3Fquery%23hash", "?query#hash"),
        ("%E2%82%AC", "€"),
    ] {
        assert!(server.put_key(path, "v").await, "{path}");
        assert_eq!(server.pair(path).await["Key"], key);
    }
    assert_eq!(server.get("/v1/kv/%zz").await.status, 400);
}

async fn a_value_is_set_only_at_the_index_it_has(server: &Target) {
    assert!(server.put_key("k?cas=0", "one").await);
    assert!(!server.put_key("k?cas=0", "two").await);
    let index = server.pair("k").await["ModifyIndex"].as_u64().unwrap();
    assert!(!server.put_key(&format!("k?cas={}", index + 1), "two").await);
    assert!(server.put_key(&format!("k?cas={index}"), "two").await);
    assert!(!server.put_key(&format!("k?cas={index}"), "three").await);
    assert!(!server.put_key("none?cas=7", "x").await);
    assert_eq!(server.get("/v1/kv/k?raw").await.text, "two");
    // Ours are 400, as a later Consul's.
    for wrong in ["cas=x", "flags=-1"] {
        let answer = server.put(&format!("/v1/kv/k?{wrong}"), "").await;
        assert!([400, 500].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    let conflicting = server.put("/v1/kv/k?cas=1&acquire=x", "").await;
    assert_eq!(conflicting.status, 400);
    assert_eq!(conflicting.text, "Conflicting flags: acquire=x&cas=1");
}

async fn keys_are_deleted_alone_by_prefix_and_at_an_index(server: &Target) {
    for key in ["a", "a/b", "a/c", "b"] {
        server.put_key(key, "v").await;
    }
    let deleted = async |path: &str| {
        let answer = server.delete(&format!("/v1/kv/{path}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json().as_bool().unwrap()
    };
    let index = server.pair("b").await["ModifyIndex"].as_u64().unwrap();
    assert!(!deleted(&format!("b?cas={}", index - 1)).await);
    assert!(!deleted("b?cas=0").await);
    assert!(deleted(&format!("b?cas={index}")).await);
    assert!(deleted(&format!("b?cas={index}")).await, "what is gone is gone at any index");
    assert!(deleted("none").await);
    assert!(deleted("a/?recurse").await);
    assert_eq!(server.get("/v1/kv/?keys").await.json(), json!(["a"]));
    assert!(deleted("?recurse").await);
    assert_eq!(server.get("/v1/kv/?keys").await.json(), json!([]));
    assert_eq!(server.delete("/v1/kv/a?recurse&cas=1").await.status, 400);
}

async fn a_wrong_method_is_405_and_another_datacenter_an_error(server: &Target) {
    let answer = server.call(reqwest::Method::POST, "/v1/kv/a", "").await;
    assert_eq!(answer.status, 405);
    for method in ["GET", "PUT", "DELETE"] {
        assert!(answer.header("allow").contains(method), "{}", answer.header("allow"));
    }
    assert_eq!(server.put("/v1/kv/a?dc=elsewhere", "x").await.status, 500);
    assert!(server.put_key("a?dc=dc1&token=t", "x").await);
    assert_eq!(server.get("/v1/kv/a?stale&consistent").await.status, 400);
    assert_eq!(server.get("/v1/kv/a?stale").await.status, 200);
}

#[tokio::test]
async fn slashes_that_follow_each_other_are_kept() {
    let server = Server::start().await;
    assert!(server.put_key("/x//y/", "v").await);
    assert_eq!(server.pair("/x//y/").await["Key"], "/x//y/");
    assert_eq!(server.get("/v1/kv//x/?keys").await.json(), json!(["/x//y/"]));
}
