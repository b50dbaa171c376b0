//! Where an issuer's public keys are published.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an issuer's public keys are published.
///
/// They are read again while a program runs, so that an issuer can rotate them: on a schedule (file
/// 10 s, URL 5 min), and at once when a token names a key that is not known, at most once in 10 s
/// (file 1 s). While they cannot be read the last known ones stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// A file with a JWKS document or one public key in PEM. It must be there at the start.
    File(PathBuf),
    /// A URL of a JWKS document. It may be away at the start: until it answers, requests that need
    /// a token are 503.
    Url(String),
}

/// A text is neither a path nor a URL that keys can be read from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a file nor a URL of http or https; name one")]
pub struct InvalidLocation {
    /// The text.
    pub text: String,
}

impl FromStr for Keys {
    type Err = InvalidLocation;

    /// What has the scheme `http` or `https` is a URL, what has none is a path.
    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let invalid = || InvalidLocation { text: text.to_owned() };
        match text.split_once("://") {
            Some((scheme, rest)) => {
                let is_web = ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it));
                (is_web && !rest.is_empty()).then(|| Self::Url(text.to_owned())).ok_or_else(invalid)
            }
            None if text.is_empty() => Err(invalid()),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_makes_a_url_and_none_a_path() {
        assert_eq!("keys.json".parse(), Ok(Keys::File("keys.json".into())));
        assert_eq!("/etc/a key.pem".parse(), Ok(Keys::File("/etc/a key.pem".into())));
        for url in ["https://idp/keys", "HTTP://idp:8080/keys"] {
            assert_eq!(url.parse(), Ok(Keys::Url(url.to_owned())));
        }
    }

    #[test]
    fn what_no_keys_can_be_read_from_is_told() {
        for text in ["", "ftp://idp/keys", "file:///keys", "https://"] {
            let error = text.parse::<Keys>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
