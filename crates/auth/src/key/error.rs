//! Why a key cannot be used.

use crate::Algorithm;

/// A key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The secret could be guessed.
    #[error(
        "secret has {length} bytes; use {} or more, such as the output of `openssl rand -hex 32`",
        Self::LEAST_SECRET
    )]
    ShortSecret {
        /// Its length in bytes.
        length: usize,
    },
    /// A key pair's PEM was given as a secret: anyone who has the public half could sign.
    #[error(
        "secret is a PEM key; use it with its algorithm (RS256, ES256 or EdDSA), not as a secret"
    )]
    PemAsSecret,
    /// HS256 has no PEM keys.
    #[error("HS256 uses a secret, not a PEM key; use RS256, ES256 or EdDSA for this key")]
    PemForHs256,
    /// No PEM section is in the text.
    #[error("key is not PEM; give the text of a .pem file, from -----BEGIN to -----END")]
    NotPem,
    /// The key needs a passphrase, which nobody is there to type.
    #[error("key is encrypted; decrypt it with `openssl pkey -in key.pem -out plain.pem`")]
    Encrypted,
    /// The PEM section is of another kind.
    #[error("PEM section is `{found}`; give `{expected}`")]
    OtherSection {
        /// What stands in the text.
        found: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// The key does not fit the algorithm.
    #[error("key does not fit {algorithm}; {remedy}")]
    Unfit {
        /// The algorithm it is to serve.
        algorithm: Algorithm,
        /// What fits.
        remedy: &'static str,
    },
    /// The algorithm is not one of ours.
    #[error("algorithm `{name}` is not supported; use HS256, RS256, ES256 or EdDSA")]
    Algorithm {
        /// What was given.
        name: String,
    },
}

impl InvalidKey {
    /// Fewest bytes of an HS256 secret: the length of the hash (RFC 7518, section 3.2).
    pub const LEAST_SECRET: usize = 32;

    pub(super) fn unfit(algorithm: Algorithm) -> Self {
        let remedy = match algorithm {
            Algorithm::Hs256 => "use a secret",
            Algorithm::Rs256 => "use an RSA key of 2048 to 8192 bits",
            Algorithm::Es256 => "use an EC key on the curve P-256 (prime256v1)",
            Algorithm::EdDsa => "use an Ed25519 key",
        };
        Self::Unfit { algorithm, remedy }
    }
}
