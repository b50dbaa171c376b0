//! Reading a token: parts, header, claims. Rules only, no keys and no clock.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::claims::Said;
use crate::{Algorithm, Reason};

/// Most bytes of a token: what the usual limit of all headers, 8 KiB, lets through.
pub(crate) const MOST_BYTES: usize = 8192;

/// The last second of the year 9999; a later date is a mistake or an attempt never to expire.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// Longest user id and role.
const LONGEST_NAME: usize = 255;

/// Most roles of one token.
const MOST_ROLES: usize = 256;

/// The three parts of a token, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// Header, dot and payload: what is signed.
    pub(crate) signed: &'a str,
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
}

/// Which key the token asks for. Not trusted: it only narrows the choice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
}

/// The claims, and for whom they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) said: Said,
    /// None when there is no `aud`.
    pub(crate) audience: Option<Vec<String>>,
}

/// Splits a token (RFC 7515, section 7.1).
pub(crate) fn split(token: &str) -> Result<Parts<'_>, Reason> {
    if token.len() > MOST_BYTES {
        return Err(Reason::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Reason::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Reason::Malformed)?;
    if payload.contains('.') || [header, payload, signature].contains(&"") {
        return Err(Reason::Malformed);
    }
    Ok(Parts { signed, header, payload, signature })
}

/// Decodes base64url without padding; stray bits at the end are refused, so that one signature
/// has one spelling.
pub(crate) fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Malformed)
}

/// Reads the header.
pub(crate) fn header(part: &str) -> Result<Header, Reason> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        alg: Cow<'a, str>,
        kid: Option<String>,
        typ: Option<String>,
        #[serde(default)]
        crit: Present,
    }
    let bytes = decode(part)?;
    let wire: Wire<'_> = serde_json::from_slice(&bytes).map_err(|_| Reason::Malformed)?;
    let algorithm = wire.alg.parse().map_err(|_| Reason::Algorithm)?;
    // We understand no extension (RFC 7515, section 4.1.11). Tokens of other types may be signed
    // with the same key and are not meant for us (RFC 8725, section 3.11).
    let is_ours = |text: &String| {
        let text = text.strip_prefix("application/").unwrap_or(text);
        ["jwt", "at+jwt"].iter().any(|ours| text.eq_ignore_ascii_case(ours))
    };
    if wire.crit.0 || !wire.typ.as_ref().is_none_or(is_ours) {
        return Err(Reason::Algorithm);
    }
    Ok(Header { algorithm, key_id: wire.kid })
}

/// Reads the claims. Call it only for a payload whose signature was verified.
pub(crate) fn payload(part: &str) -> Result<Payload, Reason> {
    #[derive(Deserialize)]
    struct Wire {
        user_id: Option<Value>,
        sub: Option<Value>,
        roles: Option<Value>,
        exp: Option<Value>,
        iat: Option<Value>,
        nbf: Option<Value>,
        iss: Option<Value>,
        aud: Option<Value>,
    }
    let bytes = decode(part)?;
    // A claim that is there twice is an error of the parser.
    let wire: Wire = serde_json::from_slice(&bytes).map_err(|_| Reason::Malformed)?;
    let user_id = match (wire.user_id, wire.sub) {
        (Some(id), _) => user_id(id).ok_or(Reason::Claim("user_id"))?,
        (None, Some(sub)) => user_id(sub).ok_or(Reason::Claim("sub"))?,
        (None, None) => return Err(Reason::Claim("user_id")),
    };
    let optional = |value: Option<Value>, name| match value {
        None => Ok(None),
        Some(value) => date(&value).map(Some).ok_or(Reason::Claim(name)),
    };
    let said = Said {
        user_id,
        roles: wire.roles.map_or(Some(Box::default()), roles).ok_or(Reason::Claim("roles"))?,
        expires: wire.exp.as_ref().and_then(date).ok_or(Reason::Claim("exp"))?,
        issued: optional(wire.iat, "iat")?,
        not_before: optional(wire.nbf, "nbf")?,
        issuer: match wire.iss {
            None => None,
            Some(Value::String(issuer)) => Some(issuer.into()),
            Some(_) => return Err(Reason::Claim("iss")),
        },
    };
    let audience = wire.aud.map(|aud| strings(aud).ok_or(Reason::Claim("aud"))).transpose()?;
    Ok(Payload { said, audience })
}

/// A number's digits or a text that may go into a header.
fn user_id(value: Value) -> Option<Box<str>> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            Some(number.to_string().into())
        }
        Value::String(text) if is_name(&text) => Some(text.into()),
        _ => None,
    }
}

/// A list of names; a lone text is refused, because it is a mistake that some libraries read as
/// a list of letters.
fn roles(value: Value) -> Option<Box<[Box<str>]>> {
    let Value::Array(roles) = value else { return None };
    if roles.len() > MOST_ROLES {
        return None;
    }
    let role = |value| match value {
        Value::String(role) if is_name(&role) && !role.contains(',') => Some(role.into()),
        _ => None,
    };
    roles.into_iter().map(role).collect()
}

/// One text or a list of texts (RFC 7519, section 4.1.3).
fn strings(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values
            .into_iter()
            .map(|value| if let Value::String(text) = value { Some(text) } else { None })
            .collect(),
        _ => None,
    }
}

/// A NumericDate (RFC 7519, section 2): seconds, a fraction is cut; 0 to the end of year 9999.
fn date(value: &Value) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    let seconds = match (number.as_u64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        // The bounds make the cast exact enough: such a number has a fraction of microseconds.
        (None, Some(seconds)) if (0.0..=LAST_SECOND as f64).contains(&seconds) => seconds as u64,
        _ => return None,
    };
    (seconds <= LAST_SECOND).then_some(seconds)
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether a member is there, whatever its value.
#[derive(Debug, Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn encoded(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    fn read(json: &str) -> Result<Payload, Reason> {
        payload(&encoded(json))
    }

    #[test]
    fn a_token_has_three_parts_that_are_not_empty() {
        let parts = split("a.b.c").unwrap();
        assert_eq!((parts.signed, parts.header, parts.payload), ("a.b", "a", "b"));
        for token in ["", ".", "..", "a", "a.b", "a..c", ".b.c", "a.b.", "a.b.c.d", "a.b.c.d.e"] {
            assert_eq!(split(token), Err(Reason::Malformed), "{token}");
        }
        assert_eq!(split(&"a".repeat(MOST_BYTES + 1)), Err(Reason::TooLong));
    }

    #[test]
    fn a_part_has_one_spelling() {
        assert_eq!(decode("YQ").unwrap(), b"a");
        for part in ["YQ==", "YR", "Y", "Y Q", "+/", "Y\nQ"] {
            assert_eq!(decode(part), Err(Reason::Malformed), "{part}");
        }
    }

    #[test]
    fn a_header_names_an_algorithm_of_ours_exactly() {
        let header = |json: &str| header(&encoded(json));
        let read = header(r#"{"alg":"ES256","kid":"k","typ":"at+JWT","x5t":"?"}"#).unwrap();
        assert_eq!(read, Header { algorithm: Algorithm::Es256, key_id: Some("k".into()) });
        for alg in ["none", "None", "NONE", "hs256", "HS512", "PS256", ""] {
            let refused = header(&json!({ "alg": alg }).to_string());
            assert_eq!(refused, Err(Reason::Algorithm), "{alg}");
        }
        for json in [r#"{"alg":"HS256","crit":["exp"]}"#, r#"{"alg":"HS256","crit":null}"#] {
            assert_eq!(header(json), Err(Reason::Algorithm), "{json}");
        }
        assert_eq!(header(r#"{"alg":"HS256","typ":"logout+jwt"}"#), Err(Reason::Algorithm));
        for json in ["{}", "[]", "x", r#"{"alg":1}"#, r#"{"alg":"HS256","alg":"HS256"}"#] {
            assert_eq!(header(json), Err(Reason::Malformed), "{json}");
        }
    }

    #[test]
    fn a_user_id_is_a_whole_number_or_a_visible_text() {
        let id = |id: Value| read(&json!({ "exp": 1, "user_id": id }).to_string());
        assert_eq!(&*id(json!(7)).unwrap().said.user_id, "7");
        assert_eq!(&*id(json!("u-7")).unwrap().said.user_id, "u-7");
        let long = "x".repeat(256);
        let refused = [json!(1.5), json!(true), json!(""), json!("a b"), json!([1]), json!("a\nb")];
        for value in refused.into_iter().chain([json!(long), json!({"id": 1}), json!("ü")]) {
            assert_eq!(id(value.clone()), Err(Reason::Claim("user_id")), "{value}");
        }
        assert_eq!(&*read(r#"{"exp":1,"sub":"s"}"#).unwrap().said.user_id, "s");
        assert_eq!(read(r#"{"exp":1}"#), Err(Reason::Claim("user_id")));
    }

    #[test]
    fn roles_are_a_list_of_texts_and_nothing_that_looks_like_one() {
        let roles =
            |roles: Value| read(&json!({ "exp": 1, "user_id": 1, "roles": roles }).to_string());
        assert_eq!(roles(json!(["user", "admin"])).unwrap().said.roles.len(), 2);
        assert_eq!(roles(json!([])).unwrap().said.roles.len(), 0);
        let refused = [json!("admin"), json!({"admin": true}), json!([1]), json!([["admin"]])];
        for value in refused.into_iter().chain([json!(["user,admin"]), json!([""]), json!(1)]) {
            assert_eq!(roles(value.clone()), Err(Reason::Claim("roles")), "{value}");
        }
    }

    #[test]
    fn a_date_is_a_number_of_seconds_until_the_year_9999() {
        let exp = |exp: &str| read(&format!(r#"{{"user_id":1,"exp":{exp}}}"#));
        for (text, seconds) in [("0", 0), ("12", 12), ("12.9", 12), ("253402300799", LAST_SECOND)] {
            assert_eq!(exp(text).unwrap().said.expires, seconds, "{text}");
        }
        let refused = [
            "-1",
            "-0.5",
            "\"12\"",
            "1e300",
            "18446744073709551615",
            "253402300800",
            "true",
            "[1]",
            "null",
        ];
        for text in refused {
            assert_eq!(exp(text), Err(Reason::Claim("exp")), "{text}");
        }
        assert_eq!(exp("1e400"), Err(Reason::Malformed));
        assert_eq!(exp("NaN"), Err(Reason::Malformed));
    }

    #[test]
    fn a_claim_that_is_there_twice_is_refused() {
        for claim in [r#""exp":2"#, r#""user_id":2"#] {
            let twice = format!(r#"{{"exp":1,"user_id":1,{claim}}}"#);
            assert_eq!(read(&twice), Err(Reason::Malformed), "{twice}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = (split(&text), header(&text), payload(&text));
            let encoded = encoded(&text);
            let _ = (header(&encoded), payload(&encoded));
        }
    }
}
