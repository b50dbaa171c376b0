//! The token in a request's headers.

use http::{HeaderMap, header};

use crate::{Reason, Rejection};

/// The token of `Authorization: Bearer <token>`; the scheme in any case (RFC 9110, section 11.1).
///
/// # Errors
///
/// [`Rejection::Missing`] when there is no such header, no token in it, or another scheme;
/// [`Rejection::Invalid`] when there are two, or the token is not one word of ASCII.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejection::Missing)?;
    if values.next().is_some() {
        // Which of two counts would depend on who reads; that is how checks are passed by.
        return Err(Reason::Header.into());
    }
    let text = value.to_str().map_err(|_| Reason::Header)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Rejection::Missing);
    }
    let token = token.trim_matches(' ');
    match token {
        "" => Err(Rejection::Missing),
        token if token.contains([' ', ',', '\t']) => Err(Reason::Header.into()),
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|it| (header::AUTHORIZATION, it.parse().unwrap())).collect()
    }

    #[test]
    fn takes_the_token_whatever_the_case_of_the_scheme() {
        for text in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", "bEaReR a.b.c "] {
            assert_eq!(bearer(&headers(&[text])), Ok("a.b.c"), "{text}");
        }
    }

    #[test]
    fn another_scheme_or_no_token_is_a_missing_one() {
        for values in [&[][..], &["Basic dTpw"], &["Bearer"], &["Bearer "], &["Bearertoken"]] {
            assert_eq!(bearer(&headers(values)), Err(Rejection::Missing), "{values:?}");
        }
    }

    #[test]
    fn two_tokens_are_none() {
        for values in [&["Bearer a", "Bearer b"][..], &["Bearer a b"], &["Bearer a,b"]] {
            assert_eq!(bearer(&headers(values)), Err(Reason::Header.into()), "{values:?}");
        }
    }
}
