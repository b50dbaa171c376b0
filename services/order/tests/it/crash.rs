//! The real program, killed while it takes orders.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use regatta::client::{Client, Error, Options, ServiceClient};
use regatta::events::{EventBus, HistoryQuery};
use regatta_database::{Database, Options as DatabaseOptions};
use regatta_discovery::{MemoryRegistry, StaticRegistry};
use regatta_events_sql::SqlBus;
use regatta_testkit::{Process, free_port, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::running::{SECRET, Users, bearer, start_users};

const LIMIT: Duration = Duration::from_secs(60);
const BUYERS: usize = 8;
const KILLS: usize = 3;
/// Orders that are acknowledged before each kill.
const ORDERS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn every_order_that_was_acknowledged_survives_kill_9_and_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let users = start_users(&MemoryRegistry::new(), Users::default()).await;
    let peers = format!("static:user-service={}", users.addr());
    let port = free_port();
    let service = client(port);

    let (mut acknowledged, mut unanswered) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        let mut program = start(&folder, port, &peers);
        wait_until("the service", LIMIT, async || is_ready(&service).await).await;
        let taken = take_orders_until_killed(&service, round, &mut program).await;
        acknowledged.extend(taken.acknowledged);
        unanswered.extend(taken.unanswered);
    }
    assert!(acknowledged.len() >= KILLS * ORDERS, "{}", acknowledged.len());
    assert!(!unanswered.is_empty(), "the program was killed at work");

    let _program = start(&folder, port, &peers);
    wait_until("the service", LIMIT, async || is_ready(&service).await).await;
    // What was acknowledged is there; repeating it answers the same order.
    for (key, id) in &acknowledged {
        let answer = buy(&service, key).await.unwrap();
        assert_eq!(answer["order_id"], *id, "{key}");
        let read = service.get(&format!("/orders/{id}")).bearer(&token()).send().await.unwrap();
        assert_eq!(read.json::<Value>().await.unwrap()["status"], "created");
    }
    // What was not answered can be repeated.
    for key in &unanswered {
        assert_eq!(buy(&service, key).await.unwrap()["status"], "created", "{key}");
    }
    // Each order is told of, and once, whatever was killed and repeated.
    let orders = acknowledged.len() + unanswered.len();
    let bus = Database::open(&events_url(&folder), &DatabaseOptions::default()).unwrap();
    let bus = SqlBus::migrating(&bus);
    let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
    wait_until("every order to be told of", LIMIT, async || {
        bus.history(&query).await.unwrap().len() >= orders
    })
    .await;
    let mut told: Vec<_> = bus.history(&query).await.unwrap();
    told.retain(|logged| logged.event.event_type() == "order.placed");
    let numbers = told.iter().map(|logged| logged.event.json().unwrap()["order_id"].to_string());
    assert_eq!(numbers.collect::<BTreeSet<_>>().len(), orders);
    assert_eq!(told.len(), orders, "none was told twice");
}

#[derive(Default)]
struct Taken {
    /// Idempotency key and number of the order.
    acknowledged: Vec<(String, i64)>,
    unanswered: Vec<String>,
}

async fn take_orders_until_killed(
    service: &ServiceClient,
    round: usize,
    program: &mut Process,
) -> Taken {
    let count = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let (service, count, is_over) = (service.clone(), count.clone(), is_over.clone());
        buyers.spawn(async move {
            let mut taken = Taken::default();
            for number in 0.. {
                let key = format!("{round}.{buyer}.{number}");
                match buy(&service, &key).await {
                    Ok(order) => {
                        taken.acknowledged.push((key, order["order_id"].as_i64().unwrap()));
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(_) if is_over.load(Ordering::SeqCst) => {
                        taken.unanswered.push(key);
                        break;
                    }
                    Err(error) => panic!("refused before the kill: {error:?}"),
                }
            }
            taken
        });
    }
    wait_until("orders", LIMIT, async || count.load(Ordering::SeqCst) >= ORDERS).await;
    is_over.store(true, Ordering::SeqCst);
    program.kill();
    let mut all = Taken::default();
    for taken in buyers.join_all().await {
        all.acknowledged.extend(taken.acknowledged);
        all.unanswered.extend(taken.unanswered);
    }
    all
}

async fn buy(service: &ServiceClient, key: &str) -> Result<Value, Error> {
    let order = service.post("/orders").bearer(&token()).header("idempotency-key", key);
    order.json(&json!({ "user_id": 7, "amount": 5 })).send().await?.json().await
}

async fn is_ready(service: &ServiceClient) -> bool {
    let ready = service.get("/health/ready").send().await;
    ready.is_ok_and(|ready| ready.status() == 200)
}

/// A caller that does not retry and has no breaker to wait for, so that each answer is the program's.
fn client(port: u16) -> ServiceClient {
    let registry: StaticRegistry =
        format!("static:order-service=127.0.0.1:{port}").parse().unwrap();
    let mut options = Options::default();
    options.retry.tries = 1;
    options.cluster.breaker = None;
    Client::try_new(Arc::new(registry), options).unwrap().service("order-service").unwrap()
}

fn token() -> String {
    bearer("1", &["user"]).trim_start_matches("Bearer ").to_owned()
}

fn start(folder: &TempDir, port: u16, peers: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-service"));
    command.env_clear().current_dir(folder.path());
    command.env("HOST", "127.0.0.1").env("PORT", port.to_string());
    command.env("DATABASE_URL", format!("sqlite://{}/orders.db", folder.path().display()));
    command.env("EVENTS_URL", events_url(folder));
    command.env("CONSUL_HTTP_ADDR", peers).env("AUTH__SECRET", SECRET);
    Process::spawn(command).unwrap()
}

fn events_url(folder: &TempDir) -> String {
    format!("sqlite://{}/events.db", folder.path().display())
}
