//! Secrets: shown to nobody, kept as hashes.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

/// Rounds of a password's hash: about 0.2 s of one core, which a guess costs, too (OWASP, Password
/// Storage Cheat Sheet, PBKDF2 with SHA-256).
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("it is not 0");
/// Fewer are not worth the name; more would let one login hold a core for seconds.
const ROUNDS_RANGE: std::ops::RangeInclusive<u32> = 1000..=10_000_000;
const SALT_BYTES: usize = 16;
const KIND: &str = "pbkdf2-sha256";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A token's hash. A token is drawn at random, so that one round is enough.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

/// A password's hash, with what is needed to compute it again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// The text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no hash; make one with `regatta control hash`")]
pub(crate) struct NoHash;

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends or checks it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The hash of a token, as the access file's `sha256` wants it. The token has to be drawn at
/// random: what somebody thought up is guessed quickly.
#[must_use]
pub fn hash_token(token: &Secret) -> String {
    use std::fmt::Write as _;
    TokenHash::of(token.expose()).0.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash of a password, as the access file's `password` wants it; with a salt of its own, so
/// that two calls answer two texts. Takes about 0.2 s.
#[must_use]
pub fn hash_password(password: &Secret) -> String {
    let salt: [u8; SALT_BYTES] = rand::random();
    let hash = derive(ROUNDS, &salt, password.expose());
    format!("{KIND}:{ROUNDS}:{}:{}", BASE64.encode(salt), BASE64.encode(hash))
}

/// A new token: 128 bits at random, in hexadecimal.
#[must_use]
pub fn draw_token() -> Secret {
    Secret::new(format!("{:032x}", rand::random::<u128>()))
}

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl FromStr for TokenHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(NoHash);
        }
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NoHash)?;
        }
        Ok(Self(hash))
    }
}

impl PasswordHash {
    /// Whether it is this password's. Takes as long as making it did.
    pub(crate) fn is_of(&self, password: &str) -> bool {
        let hash = derive(self.rounds, &self.salt, password);
        constant_time::verify_slices_are_equal(&hash, &self.hash).is_ok()
    }
}

impl FromStr for PasswordHash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or(NoHash);
        let is_known = part()? == KIND;
        let rounds: u32 = part()?.parse().map_err(|_| NoHash)?;
        let [salt, hash] = [part()?, part()?].map(|text| BASE64.decode(text).map_err(|_| NoHash));
        let (salt, hash) = (salt?, hash?);
        let is_whole = parts.next().is_none() && salt.len() >= 8 && hash.len() == 32;
        let rounds = NonZeroU32::new(rounds).filter(|r| ROUNDS_RANGE.contains(&r.get()));
        match rounds {
            Some(rounds) if is_known && is_whole => Ok(Self { rounds, salt, hash }),
            _ => Err(NoHash),
        }
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn derive(rounds: NonZeroU32, salt: &[u8], password: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_another_is_not() {
        let text = hash_password(&Secret::new("ahoy"));
        assert_ne!(text, hash_password(&Secret::new("ahoy")));
        let hash: PasswordHash = text.parse().unwrap();
        assert!(hash.is_of("ahoy"));
        assert!(!hash.is_of("ahoy "));
    }

    #[test]
    fn a_known_token_has_the_known_hash() {
        let text = hash_token(&Secret::new("abc"));
        // The example of FIPS 180-2.
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(text.parse(), Ok(TokenHash::of("abc")));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(text.parse::<TokenHash>(), Err(NoHash), "{text}");
        }
        let (salt, hash) = (BASE64.encode([1; 16]), BASE64.encode([2; 32]));
        let password = |text: String| text.parse::<PasswordHash>().map(|_| ());
        assert_eq!(password(format!("{KIND}:1000:{salt}:{hash}")), Ok(()));
        for text in [
            "secret".to_owned(),
            format!("md5:1000:{salt}:{hash}"),
            format!("{KIND}:1:{salt}:{hash}"),
            format!("{KIND}:99999999:{salt}:{hash}"),
            format!("{KIND}:1000:{salt}:{salt}"),
            format!("{KIND}:1000::{hash}"),
            format!("{KIND}:1000:{salt}:{hash}:"),
        ] {
            assert_eq!(password(text.clone()), Err(NoHash), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("ahoy")), "***");
    }
}
