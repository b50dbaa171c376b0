//! A service and its config center: changes, refusals, outages, restarts.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::Request;
use regatta::testing::{Running, ask};
use regatta::{Config, Service, Watched};
use regatta_config::center::{Commit, ConfigCenter, Expected, MemoryCenter, Report};
use regatta_config::release::Rollout;
use serde_json::Value;

use crate::fixture::{PATIENCE, routes};

regatta::settings! {
    /// How payments are judged.
    struct PaymentSettings in "payment" {
        /// Above it payments are declined.
        limit: u32 = 1000, range 1..=5000;
    }
}

const LIMIT: &str = "/config/pay-service/payment.limit";
const TIMEOUT: &str = "/config/pay-service/client.timeout";

/// A service with a limit of 500 in its file, and the center beside it.
struct Paying {
    center: MemoryCenter,
    limit: Watched<u32>,
    admin: SocketAddr,
    service: Running,
}

async fn paying(center: &MemoryCenter, folder: &Path) -> Paying {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let kept = folder.join("kept.json");
    let yaml = format!(
        "payment: {{limit: 500}}\nclient: {{timeout: 30s}}\nadmin: {{listen: '{admin}'}}\n\
         service: {{instance: pay-1}}\n\
         config_center: {{report_every: 50ms, kept_file: {}, start_timeout: 5s}}\n",
        kept.display()
    );
    let config = Config::builder().yaml("config.yaml", &yaml).build().unwrap();
    let builder = Service::builder("pay-service").config(config).quiet();
    let builder = builder.config_center(center.clone());
    let (service, _) = builder.build_with::<PaymentSettings>().await.unwrap();
    let limit = service.watch("payment.limit").unwrap();
    let service = Running::start(service.rest(routes())).await.unwrap();
    Paying { center: center.clone(), limit, admin, service }
}

/// A service in a folder of its own, with an empty center.
async fn usual() -> (Paying, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (paying(&MemoryCenter::new(), folder.path()).await, folder)
}

impl Paying {
    async fn set(&self, key: &str, value: &str) -> u64 {
        self.center.set(key, value, Expected::Any).await.unwrap()
    }

    async fn shown(&self) -> Value {
        ask(self.admin, Request::get("/config").body(String::new())).await.json()
    }

    async fn health(&self, dependency: &str) -> Value {
        self.service.get("/health").await.json()["dependencies"][dependency].clone()
    }

    async fn report(&self) -> Option<Report> {
        let item = self.center.get("/config/_reports/pay-service/pay-1").await.ok()??;
        Report::parse(&item.value)
    }

    async fn until_reported(&self, is_there: impl Fn(&Report) -> bool) -> Report {
        until("the report", async || self.report().await.filter(&is_there)).await
    }

    async fn until_limit(&mut self, limit: u32) {
        let seen = async {
            while self.limit.current() != Some(limit) {
                self.limit.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the limit changes");
    }
}

/// Asks again and again until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what} in vain"))
}

fn entry(shown: &Value, key: &str) -> (String, String) {
    let values = shown["values"].as_array().unwrap();
    let entry = values.iter().find(|entry| entry["key"] == key).unwrap();
    let text = |name: &str| entry[name].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

#[tokio::test]
async fn a_change_holds_at_once_and_tells_where_it_came_from() {
    let (it, _folder) = usual().await;
    let revision = it.set(TIMEOUT, "29s").await;
    let shown = until("the change", async || {
        let shown = it.shown().await;
        (entry(&shown, "client.timeout").0 == "29s").then_some(shown)
    })
    .await;
    let origin = format!("config center {TIMEOUT}, revision {revision}");
    assert_eq!(entry(&shown, "client.timeout").1, origin);
    assert_eq!(shown["config_center"]["revision"], revision);
    assert_eq!(it.until_reported(|report| report.revision == revision).await.refused, None);
    let metrics = it.service.get("/metrics").await.text();
    assert!(metrics.lines().any(|line| line == format!("regatta_config_revision {revision}")
        || line.starts_with("regatta_config_revision{")
            && line.ends_with(&format!(" {revision}"))));
}

#[tokio::test]
async fn a_watched_value_changes_and_a_deleted_key_falls_back_to_the_file() {
    let (mut it, _folder) = usual().await;
    assert_eq!(it.limit.current(), Some(500));
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
    it.center.delete(LIMIT, Expected::Any).await.unwrap();
    it.until_limit(500).await;
    it.set("/config/_shared/payment.limit", "600").await;
    it.until_limit(600).await;
    it.set("/config/pay-service/_instances/pay-1/payment.limit", "800").await;
    it.until_limit(800).await;
    assert_eq!(it.shown().await["at_next_start"], serde_json::json!([]), "it is live already");
}

#[tokio::test]
async fn what_does_not_validate_is_refused_and_said_everywhere_and_the_old_stays() {
    let (mut it, _folder) = usual().await;
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
    for (key, value, word) in [
        (LIMIT, "many", "whole number"),
        (LIMIT, "9000", "1 to 5000"),
        ("/config/pay-service/payment.limt", "1", "did you mean"),
        ("/config/pay-service/server.port", "1", "is of the process"),
        (TIMEOUT, "0", "client.timeout"),
    ] {
        let before = it.center.get(key).await.unwrap();
        let refused = it.set(key, value).await;
        let report = it.until_reported(|it| it.refused.is_some()).await;
        let told = report.refused.unwrap();
        assert_eq!(told.revision, refused, "{key}");
        assert!(told.reason.contains(word), "{key}: {}", told.reason);
        assert!(report.revision < refused);
        let shown = it.shown().await;
        assert_eq!(shown["config_center"]["refused"]["revision"], refused);
        assert_eq!(entry(&shown, "payment.limit").0, "700");
        // An answer of health is kept for a second.
        until("health", async || {
            let health = it.health("configuration").await;
            health["error"].as_str().filter(|error| error.contains(word)).map(drop)
        })
        .await;
        assert_eq!(it.service.get("/health/ready").await.status(), 200);
        match before {
            Some(item) => it.set(key, &item.value).await,
            None => u64::from(it.center.delete(key, Expected::Any).await.unwrap()),
        };
        it.until_reported(|it| it.refused.is_none()).await;
    }
    assert_eq!(it.limit.current(), Some(700));
    let metrics = it.service.get("/metrics").await.text();
    assert!(metrics.contains("regatta_config_refused"), "{metrics}");
}

/// A key that the center may not hold hid all the others.
#[tokio::test]
async fn all_that_is_wrong_in_a_revision_is_named_at_once() {
    let (it, _folder) = usual().await;
    let wrong = [
        (TIMEOUT, ""),
        (LIMIT, "9000"),
        ("/config/pay-service/payment.limt", "1"),
        ("/config/pay-service/server.port", "9"),
    ];
    let commit = wrong.iter().fold(Commit::new(), |commit, (key, value)| commit.put(*key, *value));
    it.center.commit(commit).await.unwrap();
    let reason = it.until_reported(|it| it.refused.is_some()).await.refused.unwrap().reason;
    for (key, _) in wrong {
        assert!(reason.contains(key), "{key}: {reason}");
    }
}

/// All or nothing: half of a revision is settings that nobody wrote.
#[tokio::test]
async fn one_wrong_key_holds_back_its_whole_revision() {
    let (mut it, _folder) = usual().await;
    let both = Commit::new().put(LIMIT, "700").put(TIMEOUT, "soon");
    it.center.commit(both).await.unwrap();
    it.until_reported(|it| it.refused.is_some()).await;
    assert_eq!(it.limit.current(), Some(500));
    it.set(TIMEOUT, "3s").await;
    it.until_limit(700).await;
}

#[tokio::test]
async fn starts_and_serves_while_the_center_is_away_says_so_and_heals() {
    let (center, folder) = (MemoryCenter::new(), tempfile::tempdir().unwrap());
    center.set_away(true);
    let mut it = paying(&center, folder.path()).await;
    assert_eq!(it.service.get("/hello").await.text(), "hello");
    assert_eq!(it.service.get("/health/ready").await.status(), 200);
    let error = until("health", async || {
        it.health("config_center").await["error"].as_str().map(str::to_owned)
    });
    assert!(error.await.contains("does not answer"));
    center.set_away(false);
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
    until("health", async || {
        (it.health("config_center").await["status"] == "healthy").then_some(())
    })
    .await;
    it.until_reported(|it| it.revision > 0).await;
}

#[tokio::test]
async fn nothing_changes_in_an_outage_and_what_was_missed_comes_after_it() {
    let (mut it, _folder) = usual().await;
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
    it.center.set_away(true);
    until("health", async || it.health("config_center").await["error"].as_str().map(drop)).await;
    assert_eq!(it.limit.current(), Some(700));
    it.center.set_away(false);
    it.set(LIMIT, "800").await;
    it.until_limit(800).await;
}

#[tokio::test]
async fn a_wiped_center_leaves_the_layers_below_and_the_instance_reports_anew() {
    let (mut it, _folder) = usual().await;
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
    it.until_reported(|_| true).await;
    it.center.set_away(true);
    until("health", async || it.health("config_center").await["error"].as_str().map(drop)).await;
    it.center.wipe();
    it.until_limit(500).await;
    it.until_reported(|_| true).await;
    it.set(LIMIT, "800").await;
    it.until_limit(800).await;
}

#[tokio::test]
async fn a_restart_while_the_center_is_away_keeps_what_was_known_last() {
    let (center, folder) = (MemoryCenter::new(), tempfile::tempdir().unwrap());
    let mut it = paying(&center, folder.path()).await;
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
    until("the file", async || folder.path().join("kept.json").exists().then_some(())).await;
    it.service.stop().await;
    center.set_away(true);
    let mut again = paying(&center, folder.path()).await;
    assert_eq!(again.limit.current(), Some(700));
    center.set_away(false);
    again.set(LIMIT, "800").await;
    again.until_limit(800).await;
}

#[tokio::test]
async fn a_wrong_value_keeps_no_service_from_starting() {
    let (center, folder) = (MemoryCenter::new(), tempfile::tempdir().unwrap());
    center.set(LIMIT, "many", Expected::Any).await.unwrap();
    let mut it = paying(&center, folder.path()).await;
    assert_eq!(it.limit.current(), Some(500));
    it.until_reported(|it| it.refused.is_some()).await;
    it.set(LIMIT, "700").await;
    it.until_limit(700).await;
}

#[tokio::test]
async fn the_report_ends_with_the_instance() {
    let (it, _folder) = usual().await;
    let report = it.until_reported(|it| it.ready).await;
    assert_eq!((&*report.service, &*report.instance), ("pay-service", "pay-1"));
    let center = it.center.clone();
    it.service.stop().await;
    assert_eq!(center.get("/config/_reports/pay-service/pay-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_release_reaches_the_instance_it_names_and_requests_are_counted() {
    let (mut it, _folder) = usual().await;
    let rollout = |instance: &str| Rollout {
        release: "r1".to_owned(),
        changes: [("payment.limit".to_owned(), Some("900".to_owned()))].into(),
        instances: Some(vec![instance.to_owned()]),
    };
    let key = "/config/pay-service/_rollout";
    it.set(key, &rollout("pay-2").to_text()).await;
    it.until_reported(|it| it.revision > 1 && it.release.is_none()).await;
    assert_eq!(it.limit.current(), Some(500));
    it.set(key, &rollout("pay-1").to_text()).await;
    it.until_limit(900).await;
    it.until_reported(|it| it.release.as_deref() == Some("r1")).await;
    let before = it.report().await.unwrap();
    for _ in 0..3 {
        assert_eq!(it.service.get("/hello").await.status(), 200);
        assert_eq!(it.service.get("/panic").await.status(), 500);
        it.service.get("/health").await;
    }
    let counts = |it: &Report| (it.requests - before.requests, it.errors - before.errors);
    it.until_reported(|it| counts(it) == (6, 3)).await;
    it.center.delete(key, Expected::Any).await.unwrap();
    it.until_limit(500).await;
    it.until_reported(|it| it.release.is_none()).await;
}

#[tokio::test]
async fn a_service_gets_sets_and_watches_keys_of_its_own() {
    let center = MemoryCenter::new();
    let config = Config::builder().yaml("c.yaml", "config_center: {keep: false}").build().unwrap();
    let builder = Service::builder("pay-service").config(config).quiet();
    let service = builder.config_center(center).build().await.unwrap();
    let center = service.config_center().unwrap();
    assert_eq!(center.get("/shop/greeting").await.unwrap(), None);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let callback = move |change: regatta_config::center::Change| {
        drop(tell.send(change.value().map(ToString::to_string)));
    };
    center.watch("/shop/greeting", callback).unwrap();
    for greeting in ["hello", "good day"] {
        center.set("/shop/greeting", greeting).await.unwrap();
        assert_eq!(told.recv().await.unwrap().as_deref(), Some(greeting));
    }
    center.stop_watch("/shop/greeting");
    assert_eq!(told.recv().await, None);
}

#[tokio::test]
async fn without_a_center_there_is_none() {
    let config = Config::builder().build().unwrap();
    let builder = || Service::builder("pay-service").quiet();
    let service = builder().config(config).build().await.unwrap();
    let error = format!("{:?}", service.config_center().unwrap_err());
    assert!(error.contains("config_center.url"), "{error}");
    for (yaml, word) in [
        ("{url: 'redis://a'}", "etcd://host:2379"),
        ("{url: 'etcds://a'}", "ca_file"),
        ("{url: 'etcd://a', prefix: config}", "config_center.prefix"),
        ("{url: 'etcd://a', user: ada}", "user and password"),
        ("{url: 'etcd://a', ca_file: /none.pem}", "/none.pem"),
    ] {
        let config = Config::builder().yaml("c.yaml", &format!("config_center: {yaml}"));
        let opened = builder().config(config.build().unwrap()).build().await;
        let error = opened.unwrap_err();
        assert!(error.is_setting() && format!("{error:?}").contains(word), "{error:?}");
    }
}
