//! Turns a request into the call that it is, and the answer back.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use bytes::Bytes;
use futures::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use serde_json::Value;
use tonic::Status;
use tower::ServiceExt;

use super::answers::{Answers, framed};
use super::paths::{PATHS, VERSIONS};
use super::refusal::{last_line, refused, refused_stream};
use super::schema::{Method, SCHEMA};
use super::{from_json, to_json};
use crate::web_pages;

const JSON: &str = "application/json";
/// A header that becomes the call's `token`, as in etcd's gateway.
const TOKEN: HeaderName = HeaderName::from_static("grpc-metadata-token");

/// The calls, and how they are reached.
#[derive(Clone, Debug)]
struct Gateway {
    calls: Router,
    /// The largest message, in bytes.
    most: usize,
    /// How long a body may take to come.
    longest: Duration,
    /// Whether a page's own name for this address is refused, since it needs no token.
    is_open: bool,
}

/// Serves `calls` as JSON; `most` bounds a message in bytes, `longest` the time that a body takes.
pub(crate) fn routes(calls: Router, most: usize, longest: Duration, is_open: bool) -> Router {
    let mut routes = Router::new();
    for version in VERSIONS {
        for (path, call) in PATHS {
            let answer = move |State(gateway): State<Gateway>, request: Request| async move {
                gateway.answer(call, request).await
            };
            routes = routes.route(&format!("{version}{path}"), post(answer));
        }
        routes = routes.route(&format!("{version}/{{*other}}"), any(not_found));
    }
    routes.with_state(Gateway { calls, most, longest, is_open })
}

/// As etcd's gateway says it.
async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "Not Found\n").into_response()
}

impl Gateway {
    async fn answer(self, call: &'static str, request: Request) -> Response {
        let method = SCHEMA.method(call).expect("every path is a call that there is");
        let answered = match method.answers_many {
            true => self.many(call, method, request).await,
            false => self.one(call, method, request).await,
        };
        answered.unwrap_or_else(|status| refused(&status))
    }

    async fn one(self, call: &str, method: &Method, request: Request) -> Result<Response, Status> {
        let (parts, body) = request.into_parts();
        let messages = self.read(method, &parts, body).await?;
        let mut answers = self.call(call, &parts, messages).await?;
        let message = answers.next().await?.unwrap_or_default();
        // What ends well says so behind its answer.
        answers.next().await?;
        Ok(([(CONTENT_TYPE, JSON)], shown(method, &message)?).into_response())
    }

    /// The answer begins with the first message, so that a refusal before it has its own status.
    async fn many(
        self,
        call: &str,
        method: &'static Method,
        request: Request,
    ) -> Result<Response, Status> {
        let (parts, body) = request.into_parts();
        let messages = self.read(method, &parts, body).await?;
        let mut answers = match self.call(call, &parts, messages).await {
            Ok(answers) => answers,
            Err(status) => return Ok(refused_stream(&status)),
        };
        let first = match answers.next().await {
            Ok(first) => first,
            Err(status) => return Ok(refused_stream(&status)),
        };
        let lines = stream::unfold(Some((first, answers)), move |state| async move {
            let (held, mut answers) = state?;
            let next = match held {
                Some(message) => Ok(Some(message)),
                None => answers.next().await,
            };
            match next.and_then(|next| next.map(|next| shown(method, &next)).transpose()) {
                Ok(None) => None,
                Ok(Some(json)) => {
                    Some((line(format!("{{\"result\":{json}}}\n")), Some((None, answers))))
                }
                Err(status) => Some((line(last_line(&status)), None)),
            }
        });
        Ok(([(CONTENT_TYPE, JSON)], Body::from_stream(lines)).into_response())
    }

    /// Hands a call to the services, as a gRPC client would.
    async fn call(self, call: &str, parts: &Parts, messages: Vec<u8>) -> Result<Answers, Status> {
        let mut request = Request::post(call)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Body::from(messages))
            .map_err(|_| Status::internal("the call cannot be made"))?;
        for (name, to) in
            [(&AUTHORIZATION, AUTHORIZATION), (&TOKEN, HeaderName::from_static("token"))]
        {
            if let Some(token) = parts.headers.get(name) {
                request.headers_mut().insert(to, token.clone());
            }
        }
        let Ok(response) = self.calls.oneshot(request).await;
        Answers::of(response)
    }

    /// The messages of a request, as they go over the wire.
    async fn read(&self, method: &Method, parts: &Parts, body: Body) -> Result<Vec<u8>, Status> {
        self.refuse_web_pages(parts)?;
        // In base64 a message is a third longer; what is left of the double is for names.
        let most = 2 * self.most;
        let longest = self.longest;
        let read = tokio::time::timeout(longest, to_bytes(body, most)).await;
        let late = |_| {
            let text = format!("the body took longer than {longest:?}; send it again");
            Status::cancelled(text)
        };
        let body = read.map_err(late)?.map_err(|_| {
            Status::resource_exhausted(format!(
                "the body is cut or has more than {most} bytes; raise `etcd.max_request_bytes`"
            ))
        })?;
        messages(method, &body)
    }

    fn refuse_web_pages(&self, parts: &Parts) -> Result<(), Status> {
        let authority = parts.uri.authority().map(|authority| authority.as_str());
        let cause = web_pages::origin(&parts.headers).or_else(|| match self.is_open {
            true => web_pages::public_host(&parts.headers, authority),
            false => None,
        });
        cause.map_or(Ok(()), |cause| Err(Status::permission_denied(cause)))
    }
}

/// One message, also of nothing; as many as there are where a call takes many.
fn messages(method: &Method, body: &[u8]) -> Result<Vec<u8>, Status> {
    let of = SCHEMA.message(&method.input);
    let mut bytes = Vec::new();
    let mut put = |json: &Value| -> Result<(), Status> {
        let message = from_json::message(&SCHEMA, of, json, "the body");
        framed(&message.map_err(|error| Status::invalid_argument(error.to_string()))?, &mut bytes)
    };
    let no_json = |error| Status::invalid_argument(format!("the body is no JSON: {error}"));
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    if !method.takes_many {
        put(&values.next().transpose().map_err(no_json)?.unwrap_or_default())?;
        return Ok(bytes);
    }
    for value in values {
        put(&value.map_err(no_json)?)?;
    }
    Ok(bytes)
}

fn shown(method: &Method, message: &[u8]) -> Result<String, Status> {
    let json = to_json::message(&SCHEMA, SCHEMA.message(&method.output), message);
    json.map_err(|error| Status::internal(format!("the answer cannot be shown: {error}")))
}

fn line(text: String) -> Result<Bytes, Infallible> {
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(call: &str, body: &str) -> Vec<usize> {
        let bytes = messages(SCHEMA.method(call).unwrap(), body.as_bytes()).unwrap();
        let (mut left, mut lengths) = (&bytes[..], Vec::new());
        while let Some((head, rest)) = left.split_first_chunk::<5>() {
            let length = usize::from(head[4]);
            lengths.push(length);
            left = &rest[length..];
        }
        lengths
    }

    #[test]
    fn a_call_of_one_message_has_one_whatever_the_body_and_others_have_as_many() {
        let (one, many) = ("/etcdserverpb.KV/Range", "/etcdserverpb.Lease/LeaseKeepAlive");
        assert_eq!(lengths(one, ""), [0]);
        assert_eq!(lengths(one, r#"{"key":"YQ=="}"#), [3]);
        assert_eq!(lengths(one, r#"{"key":"YQ=="} {"#), [3], "what is behind is not read");
        assert_eq!(lengths(many, ""), [0; 0]);
        assert_eq!(lengths(many, r#"{"ID":7}{"ID":"8"}"#), [2, 2]);
    }

    #[test]
    fn what_is_no_json_is_the_callers_fault() {
        let range = SCHEMA.method("/etcdserverpb.KV/Range").unwrap();
        for body in ["{", "[]", r#"{"key":1}"#] {
            let status = messages(range, body.as_bytes()).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{body}");
        }
    }
}
