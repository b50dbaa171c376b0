//! Both codecs give back the event they were given.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use regatta_events::{CloudEvent, Data, Extension};
use serde_json::Value;
use time::OffsetDateTime;

proptest! {
    #[test]
    fn an_event_survives_the_json_format(event in events()) {
        let text = event.to_json_string();
        prop_assert_eq!(CloudEvent::from_json_slice(text.as_bytes()).unwrap(), event);
    }

    #[test]
    fn an_event_survives_headers_and_a_body(event in events()) {
        let message = event.to_binary();
        for (name, value) in &message.headers {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()
                || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{value}");
        }
        let headers = message.headers.iter().map(|(name, value)| (&**name, &**value));
        let read = CloudEvent::from_binary(headers, &message.body).unwrap();
        prop_assert_eq!(read, as_headers_carry_it(event));
    }

    #[test]
    fn no_bytes_make_the_json_codec_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = CloudEvent::from_json_slice(&bytes);
    }

    #[test]
    fn no_members_make_the_json_codec_panic(
        members in btree_map("(id|source|type|time|data|data_base64|[a-z]{1,8})", json(), 0..8),
    ) {
        let mut object: serde_json::Map<_, _> = members.into_iter().collect();
        object.insert("specversion".into(), "1.0".into());
        let _ = CloudEvent::from_json(Value::Object(object));
    }
}

/// Headers are text, so every extension arrives as text.
fn as_headers_carry_it(event: CloudEvent) -> CloudEvent {
    let extensions = event.extensions().clone();
    extensions.into_iter().fold(event, |event, (name, value)| {
        let text = match value {
            Extension::Boolean(value) => value.to_string(),
            Extension::Integer(value) => value.to_string(),
            Extension::Text(value) => value,
        };
        event.with_extension(name, text).unwrap()
    })
}

fn events() -> impl Strategy<Value = CloudEvent> {
    let text = "[^\\p{C}]{1,12}";
    let required = (text, "[a-z0-9/:?#%._~-]{1,12}", text);
    let optional = (option::of(text), option::of(times()), option::of("[a-z0-9/:#]{1,12}"));
    let names = "x[a-z0-9]{1,10}";
    (required, optional, btree_map(names, extensions(), 0..4), data()).prop_map(
        |((id, source, event_type), (subject, time, schema), extensions, data)| {
            let mut event = CloudEvent::try_new(id, source, event_type).unwrap();
            if let Some(subject) = subject {
                event = event.with_subject(subject).unwrap();
            }
            if let Some(time) = time {
                event = event.with_time(time);
            }
            if let Some(schema) = schema {
                event = event.with_data_schema(schema).unwrap();
            }
            for (name, value) in extensions {
                event = event.with_extension(name, value).unwrap();
            }
            match data {
                Data::None => event,
                Data::Json(value) => event.with_json(value),
                Data::Text(_) => event.with_data("text/plain; charset=utf-8", data).unwrap(),
                Data::Binary(_) => event.with_data("application/octet-stream", data).unwrap(),
            }
        },
    )
}

fn times() -> impl Strategy<Value = OffsetDateTime> {
    (0_i64..253_402_300_800, 0_i64..1_000_000_000).prop_map(|(seconds, nanoseconds)| {
        let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        time + time::Duration::nanoseconds(nanoseconds)
    })
}

fn extensions() -> impl Strategy<Value = Extension> {
    prop_oneof![
        any::<bool>().prop_map(Extension::Boolean),
        any::<i32>().prop_map(Extension::Integer),
        "[^\\p{C}]{0,12}".prop_map(Extension::Text),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        Just(Data::None),
        json().prop_map(Data::Json),
        any::<String>().prop_map(Data::Text),
        vec(any::<u8>(), 0..40).prop_map(Data::Binary),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
