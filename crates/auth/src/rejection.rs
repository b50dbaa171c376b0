//! A request that is not let through, as its caller sees it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use regatta_core::{Code, Problem};

use crate::Reason;

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No token was sent.
    #[error("no token was sent; send one in `Authorization: Bearer <token>`")]
    Missing,
    /// The token is not valid.
    #[error(transparent)]
    Invalid(#[from] Reason),
    /// The token was valid and is over.
    #[error("token has expired; get a new one")]
    Expired,
    /// No key is known yet that a token could be verified with.
    #[error("the keys of the issuer are not known yet; try again")]
    NoKeys,
    /// The caller is known and has none of the roles that would do.
    #[error("role `{role}` is needed")]
    Role {
        /// The role, or those of which one would do.
        role: String,
    },
}

impl Rejection {
    /// 401, 403 for a missing role, 503 while no key is known.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoKeys => StatusCode::SERVICE_UNAVAILABLE,
            Self::Role { .. } => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The code in gRPC.
    pub fn code(&self) -> Code {
        match self {
            Self::NoKeys => Code::Unavailable,
            Self::Role { .. } => Code::PermissionDenied,
            _ => Code::Unauthenticated,
        }
    }

    /// Whether keys that the issuer has published since could turn it into a pass.
    pub fn may_be_for_want_of_keys(&self) -> bool {
        matches!(self, Self::NoKeys | Self::Invalid(Reason::UnknownKey | Reason::Algorithm))
    }

    /// The short text of the member `error`.
    pub fn error(&self) -> &'static str {
        match self {
            Self::Missing => "Missing token",
            Self::Invalid(_) => "Invalid token",
            Self::Expired => "Token expired",
            Self::NoKeys => "Keys unavailable",
            Self::Role { .. } => "Insufficient permissions",
        }
    }

    /// The problem for the response's body.
    pub fn problem(&self) -> Problem {
        let code = match self {
            Self::Missing => "missing_token",
            Self::Invalid(_) => "invalid_token",
            Self::Expired => "token_expired",
            Self::NoKeys => "keys_unavailable",
            Self::Role { .. } => "insufficient_permissions",
        };
        Problem::of(self.code(), self.to_string()).with_code(code).with_error(self.error())
    }

    /// The challenge (RFC 6750, section 3): no error code when no token was sent.
    pub fn www_authenticate(&self) -> HeaderValue {
        let text = match self {
            Self::Missing | Self::NoKeys => r#"Bearer realm="api""#,
            Self::Invalid(_) => {
                r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#
            }
            Self::Expired => {
                r#"Bearer realm="api", error="invalid_token", error_description="the token has expired""#
            }
            Self::Role { .. } => r#"Bearer realm="api", error="insufficient_scope""#,
        };
        HeaderValue::from_static(text)
    }

    /// The response over HTTP: a problem with a challenge, or with when to come again.
    pub fn http_response<B: From<String>>(&self) -> http::Response<B> {
        let mut response = http::Response::new(B::from(self.problem().to_json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static(Problem::MEDIA_TYPE);
        headers.insert(header::CONTENT_TYPE, media_type);
        match self {
            Self::NoKeys => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            _ => headers.insert(header::WWW_AUTHENTICATE, self.www_authenticate()),
        };
        response
    }

    /// The response over gRPC: its status in the headers, and no body.
    pub fn grpc_response<B: Default>(&self) -> http::Response<B> {
        let mut response = http::Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(self.code().grpc()));
        headers.insert("grpc-message", HeaderValue::from_static(self.error()));
        response
    }

    /// The response in the protocol of the request with these headers.
    pub fn response_to<B: Default + From<String>>(&self, request: &HeaderMap) -> http::Response<B> {
        let content_type = request.get(header::CONTENT_TYPE).map_or(&[][..], |it| it.as_bytes());
        match content_type.strip_prefix(b"application/grpc") {
            Some([] | [b'+' | b';', ..]) => self.grpc_response(),
            _ => self.http_response(),
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.http_response::<Body>()
    }
}
