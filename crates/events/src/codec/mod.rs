//! CloudEvents on the wire: JSON (structured) and headers with a body (binary).

mod binary;
mod json;
mod percent;

use crate::InvalidEvent;

pub use binary::BinaryMessage;

/// The content type of one event in JSON (CloudEvents 1.0.2, JSON format, section 3).
pub const JSON_CONTENT_TYPE: &str = "application/cloudevents+json";

/// Bytes are not an event of CloudEvents 1.0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text is not JSON.
    #[error("the event is not JSON")]
    Json(#[source] serde_json::Error),
    /// The JSON is not an object.
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// A required attribute is missing.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute has a type it may not have.
    #[error("attribute `{name}` is not {wanted}")]
    WrongType {
        /// The attribute.
        name: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Another version of the specification.
    #[error("specversion `{0}` is not known; this reads 1.0")]
    SpecVersion(String),
    /// An attribute breaks the specification.
    #[error("an attribute is not valid")]
    Invalid(#[from] InvalidEvent),
    /// The time is not RFC 3339.
    #[error("time `{0}` is not an RFC 3339 time")]
    Time(String),
    /// `data` and `data_base64` are both there.
    #[error("the event has `data` and `data_base64`; one of them is the data")]
    TwoData,
    /// The data is not what its encoding or content type says.
    #[error("the data is not {0}")]
    Data(&'static str),
}

/// Whether data of this content type is a JSON value; absent means JSON.
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// Whether data of this content type is text.
fn is_text(content_type: &str) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("text/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_content_type() {
        for json in [None, Some("application/json; charset=utf-8"), Some("Application/Ld+JSON")] {
            assert!(is_json(json), "{json:?}");
        }
        for other in ["text/plain", "application/jsonl", "application/xml"] {
            assert!(!is_json(Some(other)), "{other}");
        }
    }
}
