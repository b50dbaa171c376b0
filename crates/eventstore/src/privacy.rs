//! Personal data under a key of the person; without the key it is noise.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A person that events are about, by an id that itself tells nothing: 1 to 200 bytes without
/// spaces and control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(String);

/// The text does not name a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a subject; use 1 to 200 bytes without spaces and control characters")]
pub struct InvalidSubject(pub String);

impl SubjectId {
    /// Checks the id.
    ///
    /// # Errors
    ///
    /// [`InvalidSubject`] with what was given.
    pub fn try_new(id: impl Into<String>) -> Result<Self, InvalidSubject> {
        let id = id.into();
        let is_id = (1..=200).contains(&id.len())
            && !id.chars().any(|character| character.is_whitespace() || character.is_control());
        if is_id { Ok(Self(id)) } else { Err(InvalidSubject(id)) }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of one subject: 256 bits for AES-GCM. Erasing a person is forgetting this.
#[derive(Clone)]
pub struct SubjectKey([u8; Self::LENGTH]);

/// What is sealed cannot be opened: another key, another event, or damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed data cannot be opened; its key, its event or its bytes are not the right ones")]
pub struct SealBroken;

impl SubjectKey {
    /// Its length in bytes.
    pub const LENGTH: usize = 32;

    /// A key that nobody has.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness.
    pub fn generate() -> Self {
        let mut key = [0; Self::LENGTH];
        fill(&mut key);
        Self(key)
    }

    /// The key of these bytes; none when there are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes, for the store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Seals members for one event: a fresh nonce, then the ciphertext, bound to the event's id.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness.
    ///
    /// # Source
    ///
    /// NIST SP 800-38D, section 8.2.2: random nonces of 96 bits, fit for 2^32 events of one subject.
    pub fn seal(&self, event: Uuid, members: &Map<String, Value>) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce);
        let mut text = serde_json::to_vec(members).unwrap_or_default();
        let sealing = self.cipher().and_then(|cipher| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            cipher.seal_in_place_append_tag(nonce, Aad::from(event.as_bytes()), &mut text)
        });
        sealing.expect("a key of 32 bytes seals anything that fits in memory");
        [&nonce[..], &text].concat()
    }

    /// Opens what was sealed for this event.
    ///
    /// # Errors
    ///
    /// [`SealBroken`] when it was sealed with another key, for another event, or was changed since.
    pub fn open(&self, event: Uuid, sealed: &[u8]) -> Result<Map<String, Value>, SealBroken> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(SealBroken)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|Unspecified| SealBroken)?;
        let opened = self.cipher().and_then(|cipher| {
            cipher.open_in_place(nonce, Aad::from(event.as_bytes()), &mut text).map(|text| &*text)
        });
        let opened = opened.map_err(|Unspecified| SealBroken)?;
        serde_json::from_slice(opened).map_err(|_| SealBroken)
    }

    fn cipher(&self) -> Result<LessSafeKey, Unspecified> {
        UnboundKey::new(&AES_256_GCM, &self.0).map(LessSafeKey::new)
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(***)")
    }
}

fn fill(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_with_its_key_for_its_event() {
        let (key, event) = (SubjectKey::generate(), Uuid::from_u128(1));
        let sealed = key.seal(event, &members());
        assert_eq!(key.open(event, &sealed).unwrap(), members());
        let kept = SubjectKey::from_bytes(key.as_bytes()).unwrap();
        assert_eq!(kept.open(event, &sealed).unwrap(), members());
    }

    #[test]
    fn another_key_another_event_and_damage_open_nothing() {
        let (key, event) = (SubjectKey::generate(), Uuid::from_u128(1));
        let sealed = key.seal(event, &members());
        assert_eq!(SubjectKey::generate().open(event, &sealed), Err(SealBroken));
        assert_eq!(key.open(Uuid::from_u128(2), &sealed), Err(SealBroken));
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert_eq!(key.open(event, &damaged), Err(SealBroken), "byte {index}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(event, &sealed[..length]), Err(SealBroken));
        }
    }

    #[test]
    fn the_same_members_are_sealed_differently_each_time() {
        let (key, event) = (SubjectKey::generate(), Uuid::from_u128(1));
        let sealed = key.seal(event, &members());
        assert_ne!(sealed, key.seal(event, &members()));
        assert!(!sealed.windows(3).any(|window| window == b"ada"));
    }

    #[test]
    fn a_key_prints_nothing() {
        let key = SubjectKey::from_bytes(&[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "SubjectKey(***)");
        assert!(SubjectKey::from_bytes(&[7; 31]).is_none());
    }

    fn members() -> Map<String, Value> {
        serde_json::from_str(r#"{ "email": "ada@example.com" }"#).unwrap()
    }
}
