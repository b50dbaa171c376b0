//! What Consul's clients may send.

use super::failure::Failure;

/// What Consul's clients may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_value_bytes: usize,
    pub(crate) max_key_bytes: usize,
    pub(crate) max_txn_operations: usize,
}

impl Bounds {
    /// Refuses a key that is too long.
    pub(crate) fn check_key(&self, key: &str) -> Result<(), Failure> {
        if key.len() <= self.max_key_bytes {
            return Ok(());
        }
        let (has, most) = (key.len(), self.max_key_bytes);
        let text = format!(
            "the key has {has} bytes, the most allowed is {most}; shorten it or raise \
             `kv.max_key_bytes`"
        );
        Err(Failure::bad_request(text))
    }
}
