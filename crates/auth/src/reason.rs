//! Why a token is not valid.

/// Why a token is not valid. None of these says anything about the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// More than one `Authorization` header, or one that is not a bearer token's.
    #[error("send one header `Authorization: Bearer <token>`")]
    Header,
    /// Longer than any token of ours.
    #[error("token is too long; 8192 bytes are the most")]
    TooLong,
    /// Not three parts of base64url, or not JSON inside.
    #[error("token is malformed; send it as it was issued")]
    Malformed,
    /// `alg`, `crit` or `typ` is not one that a key here uses.
    #[error("token's algorithm or type is not accepted here")]
    Algorithm,
    /// No key has this `kid` and algorithm.
    #[error("token's key is not known here; get a token from this system's issuer")]
    UnknownKey,
    /// No key verifies it.
    #[error("token's signature does not match; get a token from this system's issuer")]
    Signature,
    /// A claim is missing or of another type than the standard says.
    #[error("token's claim `{0}` is missing or not of its type")]
    Claim(&'static str),
    /// Another issuer's.
    #[error("token is from another issuer")]
    Issuer,
    /// For another audience.
    #[error("token is for another audience")]
    Audience,
    /// `nbf` is in the future.
    #[error("token is not valid yet")]
    NotYet,
    /// `iat` is in the future.
    #[error("token was issued in the future; check the clocks")]
    IssuedLater,
}
