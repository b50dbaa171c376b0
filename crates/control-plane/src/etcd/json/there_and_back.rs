//! A body that is read, shown and read again: the same message, whatever it is.

use serde_json::Value;

use super::paths::PATHS;
use super::schema::SCHEMA;
use super::{from_json, to_json};

/// Reads a body as one of the calls.
pub(crate) fn there_and_back(call: usize, body: &[u8]) {
    let (_, path) = PATHS[call % PATHS.len()];
    let method = SCHEMA.method(path).expect("every path is a call that there is");
    let of = SCHEMA.message(&method.input);
    let values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    for json in values.map_while(Result::ok) {
        let Ok(bytes) = from_json::message(&SCHEMA, of, &json, "the body") else { continue };
        let shown = to_json::message(&SCHEMA, of, &bytes).expect("what was written is a message");
        let shown: Value = serde_json::from_str(&shown).expect("what is shown is JSON");
        let again = from_json::message(&SCHEMA, of, &shown, "the body");
        assert_eq!(again.expect("what is shown is read"), bytes, "{shown}");
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_of_a_request_is_read_as_that_request(
            key: Vec<u8>,
            number: i64,
            order in -1..5_i64,
            is_set: bool,
        ) {
            let key = BASE64.encode(key);
            let range = json!({
                "key": key, "rangeEnd": key, "limit": number.to_string(), "sort_order": order,
                "keys_only": is_set, "min_mod_revision": number,
            });
            let put = json!({ "key": key, "lease": number, "ignoreValue": is_set });
            let nested = json!({
                "compare": [{ "key": key, "target": order, "value": key }],
                "success": [{ "request_range": range }, { "request_put": put }, {}],
                "failure": [{ "requestTxn": { "success": [{ "request_put": put }] } }],
            });
            let filters = json!({ "create_request": { "key": key, "filters": [order, "NOPUT"] } });
            for body in [range, put, nested, filters] {
                for call in 0..PATHS.len() {
                    there_and_back(call, body.to_string().as_bytes());
                }
            }
        }

        #[test]
        fn any_body_is_read_or_refused(call: usize, body: String) {
            there_and_back(call, body.as_bytes());
        }
    }
}
