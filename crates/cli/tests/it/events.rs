//! The verbs of events, streams and projections, on files that nobody has open.

use std::path::Path;

use regatta_database::{Database, Options};
use regatta_events::{CloudEvent, EventBus, GroupName, Start, Subscription};
use regatta_events_sql::SqlBus;
use regatta_eventstore::{Append, EventStore, Expected, NewEvent, StreamId};
use regatta_eventstore_sql::{SCHEMA, SqlStore};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::Shop;

#[test]
fn what_failed_is_shown_counted_and_delivered_again() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  mail:\n    run: { command: [sh] }\n");
    let none = shop.regatta(&["events", "list"]);
    assert!(none.code == 1 && none.err.contains("there is no file"), "{}", none.err);
    fill_bus(shop.path());

    let listed = shop.regatta(&["events", "list", "--type", "order.*", "--format", "json"]).json();
    let listed = listed.as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["event"]["id"]), (3, &json!("1")));
    assert_eq!(listed[0]["event"]["specversion"], "1.0");
    let dead = shop.regatta(&["events", "dead", "mail", "--format", "json"]).json();
    assert_eq!(dead.as_array().unwrap().len(), 2);
    assert_eq!((&dead[0]["reason"], &dead[0]["failures"][0]["number"]), (&json!("no"), &json!(1)));

    let dry = shop.regatta(&["events", "redrive", "mail", "--dry-run", "--format", "json"]);
    assert!(dry.err.contains("mail has 2 dead letters; 2 of them are chosen"), "{}", dry.err);
    assert_eq!(dry.json().as_array().unwrap().len(), 2);
    let position = dead[0]["position"].to_string();
    let one = ["events", "redrive", "mail", "--position", &position, "--format", "json"];
    let done = shop.regatta(&one).json();
    assert_eq!(done, json!({ "dead": 2, "chosen": 1, "redriven": 1 }));
    let rest = shop.regatta(&["events", "redrive", "mail", "--rate", "1"]);
    assert_eq!((rest.code, rest.out.trim()), (0, "1 are delivered again"), "{}", rest.err);
    assert_eq!(shop.regatta(&["events", "dead", "mail", "--format", "json"]).json(), json!([]));
}

#[test]
fn the_bus_is_the_one_that_the_running_system_was_told_of() {
    let shop = Shop::new();
    // What stands in the file that `up` would have made is another bus.
    fill_bus(shop.path());
    let up = |bus: &str| {
        let up = shop.regatta_with(&[("EVENTS_URL", bus)], &["up", "--isolated", "--detach"]);
        assert_eq!(up.code, 0, "{}", up.err);
    };
    up("postgres://app:ahoy@127.0.0.1:1/events");
    let asked = shop.regatta(&["events", "list"]);
    let shown = "this system's bus is `postgres://app:***@127.0.0.1:1/events`";
    assert!(asked.code == 2 && asked.err.contains(shown), "{}{}", asked.out, asked.err);
    let state = std::fs::read_to_string(shop.path().join(".regatta/state.json")).unwrap();
    assert!(!state.contains("ahoy"), "{state}");
    assert_eq!(shop.regatta(&["down"]).code, 0);

    up(&format!("sqlite://{}", shop.path().join("other.db").display()));
    let found = shop.regatta(&["events", "list"]);
    assert!(found.code == 1 && found.err.contains("other.db"), "{}{}", found.out, found.err);
}

#[test]
fn groups_are_shown_and_a_group_is_forgotten_when_that_is_meant() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  mail:\n    run: { command: [sh] }\n");
    fill_bus(shop.path());
    let groups = || shop.regatta(&["events", "groups", "--format", "json"]).json();
    let mail = groups()[0].clone();
    assert_eq!(
        (&mail["group"], &mail["open"], &mail["dead"]),
        (&json!("mail"), &json!(2), &json!(2))
    );
    let table = shop.regatta(&["events", "groups"]).out;
    assert!(table.contains("GROUP") && table.contains("mail"), "{table}");
    for verb in ["dead", "redrive", "forget"] {
        let mistyped = shop.regatta(&["events", verb, "mial"]);
        assert!(
            mistyped.code == 1 && mistyped.err.contains("`mial` is not known"),
            "{}",
            mistyped.err
        );
    }
    let asked = shop.regatta(&["events", "forget", "mail"]);
    assert!(asked.code == 2 && asked.err.contains("2 dead letters"), "{}", asked.err);
    assert_eq!(groups().as_array().unwrap().len(), 1);
    let done = shop.regatta(&["events", "forget", "mail", "--yes", "--format", "json"]).json();
    assert_eq!((done, groups()), (json!({ "forgotten": true }), json!([])));
}

#[test]
fn an_event_is_published_by_a_script_onto_a_bus_that_is_there() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  mail:\n    run: { command: [sh] }\n");
    let publish = ["events", "publish", "--type", "report.made", "--data", r#"{"rows":3}"#];
    let none = shop.regatta(&publish);
    assert!(none.code == 1 && none.err.contains("there is no file"), "{}", none.err);
    fill_bus(shop.path());
    let more = ["--id", "r-1", "--source", "/report", "--key", "r", "--subject", "s"];
    for _ in 0..2 {
        let done = shop.regatta(&[&publish[..], &more, &["--format", "json"]].concat()).json();
        assert_eq!(done, json!({ "published": 1, "ids": ["r-1"] }));
    }
    let listed = shop.regatta(&["events", "list", "--type", "report.*", "--format", "json"]).json();
    let [logged] = &listed.as_array().unwrap()[..] else { panic!("once, not {listed}") };
    let event = &logged["event"];
    assert_eq!((&event["data"], &event["partitionkey"]), (&json!({ "rows": 3 }), &json!("r")));
    assert!(event["time"].is_string(), "{event}");
    let wrong = shop.regatta(&["events", "publish", "--type", "a", "--data", "{"]);
    assert!(wrong.code == 2 && wrong.err.contains("--data"), "{}", wrong.err);
}

#[test]
fn to_look_into_a_database_without_a_bus_makes_none() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  mail:\n    run: { command: [sh] }\n");
    let url = empty_database(shop.path());
    // The first would make what the next ones see.
    for verb in [&["events", "list"][..], &["events", "groups"], &["events", "dead", "mail"]] {
        let looked = shop.regatta(&[verb, &["--bus", &url]].concat());
        assert!(looked.code == 1 && looked.err.contains("no event bus there"), "{}", looked.err);
    }
}

#[test]
fn a_group_is_set_back_after_the_events_are_counted() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  mail:\n    run: { command: [sh] }\n");
    fill_bus(shop.path());
    let replay = |more: &[&str]| {
        let arguments = ["events", "replay", "mail", "--from", "beginning", "--format", "json"];
        shop.regatta(&[&arguments[..], more].concat())
    };
    assert_eq!(replay(&["--dry-run"]).json(), json!({ "events": 4, "replayed": false }));
    let done = replay(&[]);
    assert!(done.err.contains("4 events of the log come after that"), "{}", done.err);
    assert_eq!(done.json()["replayed"], true);
    let unknown = shop.regatta(&["events", "replay", "nobody", "--from", "latest"]);
    assert!(unknown.code == 1 && unknown.err.contains("`nobody`"), "{}", unknown.err);
    let wrong = shop.regatta(&["events", "replay", "mail", "--from", "yesterday"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
}

#[test]
fn streams_are_listed_and_shown_as_they_are_and_as_they_were() {
    let shop = Shop::empty();
    shop.write_manifest(
        "name: shop\nservices:\n  orders:\n    run: { command: [sh] }\n    database: true\n",
    );
    fill_store(shop.path());
    let of = |arguments: &[&str]| {
        let all = [arguments, &["--service", "orders", "--format", "json"]].concat();
        shop.regatta(&all)
    };
    let listed = of(&["streams", "list"]).json();
    assert_eq!((&listed[0]["stream"], &listed[0]["version"]), (&json!("order-1"), &json!(2)));
    let shown = of(&["streams", "show", "order-1"]).json();
    let types: Vec<&Value> = shown.as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["Placed", "Paid"]);
    let now = of(&["streams", "as-of", "order-1", "2999-01-01T00:00:00Z"]).json();
    assert_eq!(now, shown);
    let before = of(&["streams", "as-of", "order-1", "10m"]);
    assert!(before.code == 1 && before.err.contains("had none then"), "{}", before.err);

    assert_eq!(of(&["projections", "list"]).json(), json!([]));
    let rebuild = of(&["projections", "rebuild", "order_list"]);
    assert!(rebuild.code == 1 && rebuild.err.contains("`order_list`"), "{}", rebuild.err);
    let nameless = shop.regatta(&["streams", "list"]);
    assert!(nameless.code == 2 && nameless.err.contains("--service"), "{}", nameless.err);
    let unknown = shop.regatta(&["streams", "list", "--service", "nobody"]);
    assert!(unknown.code == 2 && unknown.err.contains("it has orders"), "{}", unknown.err);
}

#[test]
fn a_database_without_events_and_one_that_is_away_are_told_apart() {
    let shop = Shop::empty();
    shop.write_manifest("name: shop\nservices:\n  mail:\n    run: { command: [sh] }\n");
    let url = empty_database(shop.path());
    let none = shop.regatta(&["streams", "list", "--database", &url]);
    let text = "there is no event store in this database";
    assert!(none.code == 1 && none.err.contains(text), "{}", none.err);
    let away = "postgres://127.0.0.1:1/events";
    for line in [&["streams", "list", "--database", away][..], &["events", "list", "--bus", away]] {
        let run = shop.regatta(line);
        let text = run.err.to_lowercase();
        assert!(run.code == 1 && text.contains("connection refused"), "{}", run.err);
    }
}

/// Four events, two of which the group `mail` has given up.
#[tokio::main]
async fn fill_bus(shop: &Path) {
    let url = format!("sqlite://{}/.regatta/data/events/events.db", shop.display());
    let bus = SqlBus::migrating(&Database::open(&url, &Options::default()).unwrap());
    let event = |id: &str, event_type| CloudEvent::try_new(id, "/shop", event_type).unwrap();
    let events = ["1", "2", "3"].map(|id| event(id, "order.placed"));
    bus.publish(&events).await.unwrap();
    bus.publish(&[event("4", "user.created")]).await.unwrap();
    let mut asks = Subscription::new(GroupName::try_new("mail").unwrap());
    asks.start = Start::Beginning;
    let mut deliveries = bus.subscribe(asks).await.unwrap();
    for _ in 0..2 {
        deliveries.next().await.unwrap().reject("no").await.unwrap();
    }
}

/// A file with a database, and nothing in it.
#[tokio::main]
async fn empty_database(shop: &Path) -> String {
    let url = format!("sqlite://{}/other.db", shop.display());
    let database = Database::open(&url, &Options::default()).unwrap();
    database.begin().await.unwrap().commit().await.unwrap();
    database.close().await;
    url
}

/// One stream of two events.
#[tokio::main]
async fn fill_store(shop: &Path) {
    let url = format!("sqlite://{}/.regatta/data/orders/orders.db", shop.display());
    let database = Database::open(&url, &Options::default()).unwrap();
    database.migrate_schema(&SCHEMA).await.unwrap();
    let store = SqlStore::new(&database);
    let new = |event_type: &str| NewEvent::new(Uuid::now_v7(), event_type, json!({}));
    let stream = StreamId::try_new("order", 1).unwrap();
    let append = Append::new(stream, Expected::Any, vec![new("Placed"), new("Paid")]);
    store.append(&append).await.unwrap();
}
