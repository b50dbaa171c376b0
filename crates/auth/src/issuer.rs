//! Makes tokens.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::SigningKey;
use crate::token::LAST_SECOND;

/// Whom a token is for and what it lets him do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Grant {
    user_id: String,
    roles: Vec<String>,
}

impl Grant {
    /// A grant without roles. An id of digits is written as a number.
    pub fn new(user_id: impl Into<String>) -> Self {
        Self { user_id: user_id.into(), roles: Vec::new() }
    }

    /// The same grant with one more role.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// The same grant with these roles more.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }
}

/// A token cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// No verifier would accept it.
    #[error("user id `{0}` is not valid; use 1 to 255 visible ASCII characters")]
    UserId(String),
    /// No verifier would accept it.
    #[error("role `{0}` is not valid; use 1 to 255 visible ASCII characters without commas")]
    Role(String),
    /// The token would outlive the calendar, or be over at once.
    #[error("lifetime {0:?} is out of range; use 1 s or more, ending before the year 10000")]
    Lifetime(Duration),
    /// The library failed, as it does when there is no memory or randomness.
    #[error("token cannot be signed; look at the machine's memory and randomness")]
    Signature,
}

/// Issues tokens with one key; a cheap handle.
#[derive(Clone, Debug)]
#[must_use]
pub struct Issuer {
    key: SigningKey,
    issuer: Option<String>,
    audience: Option<String>,
    lifetime: Duration,
}

impl Issuer {
    /// Issues tokens for 24 h, without `iss` and `aud`.
    pub fn new(key: SigningKey) -> Self {
        Self { key, issuer: None, audience: None, lifetime: Duration::from_secs(24 * 3600) }
    }

    /// Writes this `iss`. Default none.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Writes this `aud`. Default none.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How long a token is valid, in whole seconds. Default 24 h; at least 1 s.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Issues a token.
    ///
    /// # Errors
    ///
    /// [`IssueError`] when the grant or the lifetime could not be in a valid token.
    pub fn issue(&self, grant: &Grant, now: SystemTime) -> Result<String, IssueError> {
        let is_name = |name: &str| {
            (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
        };
        if !is_name(&grant.user_id) {
            return Err(IssueError::UserId(grant.user_id.clone()));
        }
        if let Some(role) = grant.roles.iter().find(|role| !is_name(role) || role.contains(',')) {
            return Err(IssueError::Role(role.clone()));
        }
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let expires = now.saturating_add(self.lifetime.as_secs());
        if expires <= now || expires > LAST_SECOND {
            return Err(IssueError::Lifetime(self.lifetime));
        }
        let mut claims = Map::new();
        claims.insert("user_id".into(), number_or_text(&grant.user_id));
        claims.insert("roles".into(), grant.roles.as_slice().into());
        claims.insert("exp".into(), expires.into());
        claims.insert("iat".into(), now.into());
        for (name, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            if let Some(value) = value {
                claims.insert(name.into(), value.as_str().into());
            }
        }
        let mut header = json!({ "alg": self.key.algorithm().name(), "typ": "JWT" });
        if let Some(id) = self.key.id() {
            header["kid"] = id.into();
        }
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(Value::Object(claims).to_string(), &mut token);
        let signature = self.key.sign(token.as_bytes()).ok_or(IssueError::Signature)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// A number, where writing it as one loses nothing: `007` and `+7` stay texts.
fn number_or_text(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}
