//! Registrations as clients send them, checked and turned into commands.

mod service;
pub(crate) use service::service;

mod check;
pub(crate) use check::{check, update};

mod catalog;
pub(crate) use catalog::{catalog, catalog_removal};

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::failure::Failure;
use super::fields::Fields;

/// Consul's limits of metadata: pairs, bytes of a key, bytes of a value.
const META: (usize, usize, usize) = (64, 128, 512);
/// What Consul's definitions have for its service mesh and its tokens, which mean nothing here.
const IGNORED: [&str; 8] =
    ["Token", "Namespace", "Partition", "Proxy", "Connect", "Locality", "Datacenter", "PeerName"];

fn meta(fields: &mut Fields, name: &str) -> Result<BTreeMap<String, String>, Failure> {
    let meta = fields.text_map(name)?;
    let invalid = |text: String| Failure::bad_request(format!("Invalid Service Meta: {text}"));
    let (pairs, key_bytes, value_bytes) = META;
    if meta.len() > pairs {
        let text = format!("Node metadata cannot contain more than {pairs} key/value pairs");
        return Err(invalid(text));
    }
    for (key, value) in &meta {
        let valid = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if key.is_empty() || !valid {
            return Err(invalid(format!(
                "Couldn't load metadata pair ('{key}', '{value}'): Key contains invalid characters"
            )));
        }
        if key.len() > key_bytes || value.len() > value_bytes {
            return Err(invalid(format!(
                "Couldn't load metadata pair ('{key}'): Key is limited to {key_bytes} characters, \
                 Value to {value_bytes}"
            )));
        }
    }
    Ok(meta)
}

/// The most of a check's output that is kept, in bytes (Consul's value).
const MAX_OUTPUT: usize = 4096;

/// What is kept of a check's output.
pub(crate) fn output(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_OUTPUT));
    text
}

/// Names and ids are keys of the store, parts of URLs and of logs.
fn no_control_characters(what: &str, text: &str) -> Result<(), Failure> {
    if text.len() > 512 {
        return Err(Failure::bad_request(format!("Invalid {what}: longer than 512 bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Failure::bad_request(format!(
            "Invalid {what}: {text:?} has control characters"
        )));
    }
    Ok(())
}
