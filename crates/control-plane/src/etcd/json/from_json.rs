//! JSON as the bytes of a message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;

use super::schema::{Field, Kind, Message, Schema};

/// What is no JSON of the message that is asked for.
#[derive(Debug, thiserror::Error)]
#[error("`{field}` is {found}; write {wanted}")]
pub(super) struct Malformed {
    field: String,
    found: &'static str,
    wanted: &'static str,
}

/// The bytes of a message. Fields that it does not have are passed over, as etcd does.
pub(super) fn message(
    schema: &Schema,
    of: &Message,
    json: &Value,
    name: &str,
) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::new();
    let fields = match json {
        Value::Object(fields) => fields,
        Value::Null => return Ok(bytes),
        other => return Err(malformed(name, other, "an object")),
    };
    for field in &of.fields {
        let value = fields.get(&field.name).or_else(|| fields.get(&field.camel));
        match (value.unwrap_or(&Value::Null), field.is_repeated) {
            (Value::Null, _) => (),
            (Value::Array(all), true) => {
                all.iter().try_for_each(|one| put(schema, field, one, &mut bytes))?;
            }
            (other, true) => return Err(malformed(&field.name, other, "a list")),
            (one, false) => put(schema, field, one, &mut bytes)?,
        }
    }
    Ok(bytes)
}

fn put(schema: &Schema, field: &Field, value: &Value, to: &mut Vec<u8>) -> Result<(), Malformed> {
    let wrong = |wanted| malformed(&field.name, value, wanted);
    let number = match &field.kind {
        Kind::Bytes => {
            let decoded = value.as_str().and_then(|text| BASE64.decode(text).ok());
            put_bytes(field, &decoded.ok_or_else(|| wrong("it in base64, with its `=`"))?, to);
            return Ok(());
        }
        Kind::Text => {
            put_bytes(field, value.as_str().ok_or_else(|| wrong("a text"))?.as_bytes(), to);
            return Ok(());
        }
        Kind::Message(name) => {
            put_bytes(field, &message(schema, schema.message(name), value, &field.name)?, to);
            return Ok(());
        }
        Kind::Flag => value.as_bool().map(u64::from).ok_or_else(|| wrong("true or false"))?,
        Kind::Signed => signed(value).ok_or_else(|| wrong("a whole number"))?.cast_unsigned(),
        Kind::Unsigned | Kind::Small => {
            unsigned(value).ok_or_else(|| wrong("a whole number of 0 or more"))?
        }
        Kind::Enum(of) => {
            let known = value.as_str().and_then(|name| schema.number(of, name)).map(i64::from);
            let number = known.or_else(|| value.as_i64());
            number.ok_or_else(|| wrong("one of its names"))?.cast_unsigned()
        }
    };
    encode_key(field.number, WireType::Varint, to);
    encode_varint(number, to);
    Ok(())
}

fn put_bytes(field: &Field, bytes: &[u8], to: &mut Vec<u8>) {
    encode_key(field.number, WireType::LengthDelimited, to);
    encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// Numbers of 64 bits are written as texts too, since many languages cannot hold them.
fn signed(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn malformed(field: &str, value: &Value, wanted: &'static str) -> Malformed {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "another number",
        Value::String(_) => "another text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Malformed { field: field.to_owned(), found, wanted }
}

#[cfg(test)]
mod tests {
    use regatta_proto::etcdserverpb as pb;
    use serde_json::json;

    use super::*;
    use crate::etcd::json::schema::SCHEMA;

    fn read<T: prost::Message + Default>(name: &str, json: &Value) -> T {
        let name = format!(".etcdserverpb.{name}");
        T::decode(&*message(&SCHEMA, SCHEMA.message(&name), json, "it").unwrap()).unwrap()
    }

    fn problem(json: &Value) -> String {
        let of = SCHEMA.message(".etcdserverpb.RangeRequest");
        message(&SCHEMA, of, json, "request").unwrap_err().to_string()
    }

    #[test]
    fn both_names_and_both_forms_of_numbers_are_read() {
        let expected = pb::RangeRequest {
            key: "a".into(),
            range_end: "b".into(),
            limit: 5,
            sort_order: 2,
            keys_only: true,
            ..<_>::default()
        };
        for json in [
            json!({"key": "YQ==", "range_end": "Yg==", "limit": "5", "sort_order": "DESCEND", "keys_only": true}),
            json!({"key": "YQ==", "rangeEnd": "Yg==", "limit": 5, "sortOrder": 2, "keysOnly": true}),
            json!({"key": "YQ==", "range_end": "Yg==", "limit": 5, "sort_order": 2, "keys_only": true, "revision": null, "other": []}),
        ] {
            assert_eq!(read::<pb::RangeRequest>("RangeRequest", &json), expected, "{json}");
        }
        let negative = read::<pb::LeaseRevokeRequest>("LeaseRevokeRequest", &json!({"ID": "-7"}));
        assert_eq!(negative.id, -7);
    }

    #[test]
    fn messages_within_messages_and_lists_are_read() {
        let json = json!({
            "compare": [{"key": "YQ==", "target": "VALUE", "result": "NOT_EQUAL", "value": "Yg=="}],
            "success": [{"request_txn": {"failure": [{"requestPut": {"key": "YQ=="}}]}}, {}],
        });
        let txn = read::<pb::TxnRequest>("TxnRequest", &json);
        let union = pb::compare::TargetUnion::Value("b".into());
        assert_eq!(txn.compare[0].target_union, Some(union));
        let Some(pb::request_op::Request::RequestTxn(nested)) = &txn.success[0].request else {
            panic!("{txn:?}")
        };
        assert_eq!((nested.failure.len(), &txn.success[1].request), (1, &None));
        let json = json!({"create_request": {"key": "YQ==", "filters": ["NODELETE", 0]}});
        let watch = read::<pb::WatchRequest>("WatchRequest", &json);
        let Some(pb::watch_request::RequestUnion::CreateRequest(create)) = watch.request_union
        else {
            panic!("not a creation")
        };
        assert_eq!(create.filters, [1, 0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(problem(&json!([])), "`request` is a list; write an object");
        assert!(
            problem(&json!({"key": "YQ"})).starts_with("`key` is another text; write it in base64")
        );
        assert!(problem(&json!({"key": 5})).contains("`key` is another number"));
        assert!(problem(&json!({"limit": 1.5})).contains("a whole number"));
        assert!(problem(&json!({"limit": "x"})).contains("a whole number"));
        assert!(problem(&json!({"sort_order": "UP"})).contains("one of its names"));
        assert!(problem(&json!({"keys_only": "true"})).contains("true or false"));
    }
}
