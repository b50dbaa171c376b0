//! The bytes of a message as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::DecodeError;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::schema::{Kind, Message, Schema};

/// The text of a message: fields under the names of the file and in its order, those that are not
/// set left out, numbers of 64 bits as texts, bytes in base64.
pub(super) fn message(
    schema: &Schema,
    of: &Message,
    mut bytes: &[u8],
) -> Result<String, DecodeError> {
    let mut values = vec![Vec::new(); of.fields.len()];
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes)?;
        let Some(at) = of.fields.iter().position(|field| field.number == number) else {
            skip_field(wire, number, &mut bytes, DecodeContext::default())?;
            continue;
        };
        let kind = &of.fields[at].kind;
        match wire {
            WireType::Varint => {
                values[at].push(number_text(schema, kind, decode_varint(&mut bytes)?))
            }
            _ => values[at].push(text(schema, kind, field(&mut bytes)?)?),
        }
    }
    let fields = of.fields.iter().zip(values).filter(|(_, values)| !values.is_empty());
    let fields = fields.map(|(field, mut values)| {
        let value = match field.is_repeated {
            true => format!("[{}]", values.join(",")),
            false => values.pop().unwrap_or_default(),
        };
        format!("\"{}\":{value}", field.name)
    });
    Ok(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
}

/// The bytes of a field that says how many it has.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = prost::decode_length_delimiter(&mut *bytes)?;
    let (field, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    *bytes = rest;
    Ok(field)
}

fn text(schema: &Schema, kind: &Kind, bytes: &[u8]) -> Result<String, DecodeError> {
    match kind {
        Kind::Message(name) => message(schema, schema.message(name), bytes),
        Kind::Text => Ok(quoted(&String::from_utf8_lossy(bytes))),
        _ => Ok(format!("\"{}\"", BASE64.encode(bytes))),
    }
}

fn number_text(schema: &Schema, kind: &Kind, number: u64) -> String {
    match kind {
        Kind::Flag => (number != 0).to_string(),
        Kind::Signed => format!("\"{}\"", number.cast_signed()),
        Kind::Unsigned => format!("\"{number}\""),
        Kind::Enum(of) => {
            let known = i32::try_from(number.cast_signed()).ok();
            let name = known.and_then(|known| schema.name(of, known));
            name.map_or_else(|| number.cast_signed().to_string(), quoted)
        }
        _ => number.to_string(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use regatta_proto::etcdserverpb as pb;
    use regatta_proto::mvccpb::KeyValue;

    use super::*;
    use crate::etcd::json::schema::SCHEMA;

    fn shown(name: &str, of: &impl prost::Message) -> String {
        let of_name = SCHEMA.message(&format!(".etcdserverpb.{name}"));
        message(&SCHEMA, of_name, &of.encode_to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_texts_and_what_is_not_set_is_left_out() {
        let header = pb::ResponseHeader { cluster_id: u64::MAX, revision: -1, ..<_>::default() };
        let kv = KeyValue { key: "a".into(), version: 2, ..<_>::default() };
        let range = pb::RangeResponse {
            header: Some(header),
            kvs: vec![kv, <_>::default()],
            ..<_>::default()
        };
        assert_eq!(
            shown("RangeResponse", &range),
            r#"{"header":{"cluster_id":"18446744073709551615","revision":"-1"},"kvs":[{"key":"YQ==","version":"2"},{}]}"#
        );
        assert_eq!(shown("RangeResponse", &pb::RangeResponse::default()), "{}");
    }

    #[test]
    fn texts_names_flags_and_small_numbers_are_shown_as_such() {
        let member = pb::AlarmMember { member_id: 7, alarm: pb::AlarmType::Nospace.into() };
        assert_eq!(shown("AlarmMember", &member), r#"{"memberID":"7","alarm":"NOSPACE"}"#);
        let unknown = pb::AlarmMember { member_id: 0, alarm: 9 };
        assert_eq!(shown("AlarmMember", &unknown), r#"{"alarm":9}"#);
        let hash = pb::HashResponse { header: None, hash: 5 };
        assert_eq!(shown("HashResponse", &hash), r#"{"hash":5}"#);
        let watch = pb::WatchResponse {
            created: true,
            watch_id: -1,
            cancel_reason: "a \"b\"\n".to_owned(),
            ..<_>::default()
        };
        assert_eq!(
            shown("WatchResponse", &watch),
            r#"{"watch_id":"-1","created":true,"cancel_reason":"a \"b\"\n"}"#
        );
    }

    #[test]
    fn what_is_chosen_of_several_is_shown_although_it_is_empty() {
        use pb::response_op::Response;
        let delete = Response::ResponseDeleteRange(pb::DeleteRangeResponse::default());
        let op = pb::ResponseOp { response: Some(delete) };
        assert_eq!(shown("ResponseOp", &op), r#"{"response_delete_range":{}}"#);
    }

    #[test]
    fn what_a_newer_message_has_is_passed_over() {
        let put = pb::PutRequest { key: "k".into(), lease: 5, ..<_>::default() };
        let known = Message { fields: Vec::new() };
        assert_eq!(message(&SCHEMA, &known, &put.encode_to_vec()).unwrap(), "{}");
    }
}
