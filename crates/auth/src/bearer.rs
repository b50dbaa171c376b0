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
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Rejection::Missing);
    }
    let token = trim(token);
    if token.is_empty() {
        return Err(Rejection::Missing);
    }
    // Without a branch for each byte, the compiler looks at many of them at once; a token has
    // hundreds.
    let is_word =
        token.iter().fold(true, |is, byte| is & (byte.is_ascii_graphic() & (*byte != b',')));
    match std::str::from_utf8(token) {
        Ok(token) if is_word => Ok(token),
        _ => Err(Reason::Header.into()),
    }
}

/// Without the spaces around it; a tab is no space here.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
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
        for values in
            [&["Bearer a", "Bearer b"][..], &["Bearer a b"], &["Bearer a,b"], &["Bearer a\t"]]
        {
            assert_eq!(bearer(&headers(values)), Err(Reason::Header.into()), "{values:?}");
        }
    }
}
