//! Extractors that reject with a problem that names the field.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, LengthLimitError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Problem;
use super::object::ObjectForStruct;

/// Longest text of an error that is echoed, in bytes; serde quotes the offending value whole.
const LONGEST_ERROR: usize = 300;

/// A JSON body, in a request or an answer.
///
/// A request that is not JSON is answered with a problem: 415 for another content type, 413 over
/// the body limit, 400 with line and column for malformed JSON, 400 with the path of the field
/// (also in the member `errors`) for a value of the wrong type or a missing field. Unknown fields
/// are the type's own choice (`#[serde(deny_unknown_fields)]`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// Parameters of the route's path, such as `{id}`; a value that does not parse is a 400 that names
/// the parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// The query string; a value that does not parse is a 400 that names the parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let body = request.into_body().collect().await.map_err(unreadable)?.to_bytes();
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut body = BytesMut::with_capacity(128).writer();
        match serde_json::to_writer(&mut body, &self.0) {
            Ok(()) => {
                let media = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, media)], body.into_inner().freeze()).into_response()
            }
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                // The only parameter of a route has no name in the rejection.
                let names = RawPathParams::from_request_parts(parts, state).await;
                let name = names.ok().and_then(|names| {
                    let mut names = names.iter().map(|(name, _)| name.to_owned());
                    names.next().filter(|_| names.next().is_none())
                });
                Err(bad_path(rejection, name))
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(bad_query(&rejection)),
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    if given.is_some_and(is_json) {
        return Ok(());
    }
    let detail = match given {
        Some(given) => {
            format!("the content type is `{}`; send application/json", shorten(given.to_owned()))
        }
        None => "the content type is missing; send content-type: application/json".to_owned(),
    };
    Err(Problem::new(415, "unsupported_media_type", "Unsupported media type", detail))
}

/// `application/json` and `application/<anything>+json` (RFC 6839), with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

fn unreadable(error: axum::Error) -> Problem {
    if is_over_limit(&error) {
        return body_too_large(None);
    }
    let detail = "the body ended before it was complete; send it again";
    Problem::invalid(detail).with_code("incomplete_body")
}

/// The problem of a body over the limit of `limit` bytes, if known.
pub(crate) fn body_too_large(limit: Option<u64>) -> Problem {
    let limit = limit.map_or_else(String::new, |limit| format!(" of {limit} bytes"));
    let detail = format!("the body is over the limit{limit}; send less");
    Problem::new(413, "body_too_large", "Body too large", detail)
}

fn is_over_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(ObjectForStruct(&mut json)).map_err(|error| {
        let (path, error) = (error.path().clone(), error.into_inner());
        if error.is_data() { bad_field(&path, &error) } else { malformed(&error) }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::invalid(format!("the body is not JSON: {}", shorten(error.to_string())))
        .with_code("malformed_json")
}

fn bad_field(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Problem {
    let error = shorten(error.to_string());
    let field = path.to_string();
    // At the root serde names the field itself: "missing field `name`".
    let detail = if field == "." { error.clone() } else { format!("`{field}`: {error}") };
    Problem::invalid(detail)
        .with_member("errors", json!([{ "pointer": pointer(path), "detail": error }]))
}

/// The path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let text = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => "?".to_owned(),
        };
        pointer.push('/');
        pointer.push_str(&text);
    }
    pointer
}

fn bad_path(rejection: PathRejection, only: Option<String>) -> Problem {
    use axum::extract::path::ErrorKind;
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return Problem::internal(&rejection);
    };
    let detail = match failure.kind() {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => {
            format!("`{key}`: `{}` is not a value of type {expected_type}", shorten(value.clone()))
        }
        ErrorKind::ParseErrorAtIndex { value, expected_type, .. }
        | ErrorKind::ParseError { value, expected_type } => {
            let name = only.map_or_else(|| "the path".to_owned(), |name| format!("`{name}`"));
            let value = shorten(value.clone());
            format!("{name}: `{value}` is not a value of type {expected_type}")
        }
        ErrorKind::InvalidUtf8InPathParam { key } => {
            format!("`{key}`: the percent-encoded value is not UTF-8")
        }
        ErrorKind::DeserializeError { key, value, message } => {
            format!("`{key}`: `{}`: {}", shorten(value.clone()), shorten(message.clone()))
        }
        ErrorKind::Message(message) => shorten(message.clone()),
        // The route and the handler disagree on the parameters: a bug, not bad input.
        _ => return Problem::internal(&PathRejection::FailedToDeserializePathParams(failure)),
    };
    Problem::invalid(detail)
}

fn bad_query(rejection: &QueryRejection) -> Problem {
    let text = std::error::Error::source(rejection).map(ToString::to_string);
    Problem::invalid(shorten(text.unwrap_or_else(|| rejection.to_string())))
}

/// Cuts a text that quotes the caller's input, at a character boundary.
fn shorten(mut text: String) -> String {
    if text.len() > LONGEST_ERROR {
        text.truncate(text.floor_char_boundary(LONGEST_ERROR));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Order {
        user_id: i32,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Item {
        price: u32,
    }

    fn problem(body: &str) -> Problem {
        parse::<Order>(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err()
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let problem = problem(r#"{"user_id": 1, "items": [{"price": 1}, {"price": "x"}]}"#);
        assert_eq!((problem.status(), problem.code()), (400, "invalid_argument"));
        assert!(problem.detail().starts_with("`items[1].price`: invalid type"), "{problem}");
        let core = regatta_core::Problem::from(problem);
        assert_eq!(core.members["errors"][0]["pointer"], "/items/1/price");
    }

    #[test]
    fn a_missing_and_an_unknown_field_are_named() {
        assert!(problem("{}").detail().contains("missing field `user_id`"));
        assert!(problem(r#"{"user_id": 1, "usr": 2}"#).detail().contains("unknown field `usr`"));
    }

    #[test]
    fn an_array_is_not_taken_for_an_object() {
        assert!(problem("[1, []]").detail().contains("invalid type: sequence"));
    }

    #[test]
    fn malformed_json_says_where() {
        for body in ["", "{", "{\"user_id\": 1,}", "{\"user_id\": 1} x", "\u{feff}{}"] {
            let problem = problem(body);
            assert_eq!((problem.status(), problem.code()), (400, "malformed_json"), "{body}");
            assert!(problem.detail().contains("line 1"), "{problem}");
        }
    }

    #[test]
    fn a_huge_offending_value_is_not_echoed_whole() {
        let body = format!(r#"{{"user_id": "{}"}}"#, "ü".repeat(10_000));
        assert!(problem(&body).detail().len() < 400);
    }

    #[test]
    fn json_is_known_by_its_media_type_and_suffix() {
        for ok in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            assert!(is_json(ok), "{ok}");
        }
        for other in ["", "json", "text/json", "application/jsonp", "application/xml"] {
            assert!(!is_json(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics_and_every_rejection_is_a_400(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(problem) = parse::<Order>(&Bytes::from(body)) {
                prop_assert_eq!(problem.status(), 400);
            }
        }

        #[test]
        fn shortening_never_splits_a_character(text in ".{0,400}") {
            prop_assert!(shorten(text).len() <= LONGEST_ERROR + '…'.len_utf8());
        }
    }
}
