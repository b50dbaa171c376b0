//! Events as another implementation reads and writes them.
//!
//! `ours.json` is what this crate writes. The package `cloudevents` 2.2.0 of PyPI has read it and
//! written the other two from what it read: `JSONFormat().read(CloudEvent, text)`, then
//! `JSONFormat().write(event)` and `http.to_binary(event, JSONFormat())`.

use std::collections::BTreeMap;

use regatta_events::{CloudEvent, Extension};
use serde_json::{Value, json};
use time::OffsetDateTime;

const OURS: &str = include_str!("../fixtures/ours.json");
const THEIRS: &str = include_str!("../fixtures/python-sdk.json");
const THEIRS_BINARY: &str = include_str!("../fixtures/python-sdk.binary.json");

#[test]
fn what_is_written_is_what_the_other_one_has_read() {
    let written: Value = serde_json::from_str(&event().to_json_string()).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(OURS).unwrap());
}

#[test]
fn what_the_other_one_writes_is_the_same_event() {
    assert_eq!(CloudEvent::from_json_slice(THEIRS.as_bytes()).unwrap(), event());
}

#[test]
fn the_headers_and_body_of_the_other_one_are_the_same_event_with_extensions_as_text() {
    let message: Value = serde_json::from_str(THEIRS_BINARY).unwrap();
    let headers: BTreeMap<String, String> =
        serde_json::from_value(message["headers"].clone()).unwrap();
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let body = message["body"].as_str().unwrap().as_bytes();
    let read = CloudEvent::from_binary(headers, body).unwrap();
    // It writes a boolean as Python does.
    let same = event().with_extension("attempt", "3").unwrap();
    assert_eq!(read, same.with_extension("urgent", "True").unwrap());
}

fn event() -> CloudEvent {
    let id = "0196f0c2-6d1c-7cc0-8a31-5d6a0a3a9f10";
    let time = OffsetDateTime::from_unix_timestamp_nanos(1_767_323_045_123_456_000).unwrap();
    let event = CloudEvent::try_new(id, "/order-service", "order.placed").unwrap();
    let event = event.with_time(time).with_subject("order-1").unwrap();
    let event = event.with_data_schema("https://example.com/order-placed.json").unwrap();
    let extensions: [(&str, Extension); 5] = [
        ("partitionkey", "order-1".into()),
        ("correlationid", "order 1".into()),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ("attempt", 3.into()),
        ("urgent", true.into()),
    ];
    let event = extensions
        .into_iter()
        .fold(event, |event, (name, value)| event.with_extension(name, value).unwrap());
    event.with_json(json!({ "user_id": 1, "amount": "42.50", "note": "é € 😀" }))
}
