//! Where a user gets mail.

use std::fmt;

/// An e-mail address: the ASCII dot-string form of RFC 5321, section 4.1.2, at most 100 characters.
///
/// Quoted local parts (`"a b"@x.org`), address literals (`a@[192.0.2.1]`) and domains of one label
/// are legal there and refused here: nobody signs up with one, and they hide mistakes. Two addresses
/// that differ only in upper and lower case are the same user; the store sees to that. `Debug` does
/// not show it; it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEmail {
    /// Longer than the column of the store.
    #[error("the e-mail address has {characters} characters; write at most 100")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
    /// There is no `@`, or more than one.
    #[error("the e-mail address has no single `@`; write it like name@example.org")]
    NoAt,
    /// The part before the `@`.
    #[error(
        "the part before the `@` is not valid; write 1 to 64 letters, digits or characters of \
         !#$%&'*+-/=?^_`{{|}}~, with single dots between them"
    )]
    Local,
    /// The part after the `@`.
    #[error("the part after the `@` is not a domain; write it like example.org")]
    Domain,
}

impl Email {
    /// Longest address, in characters (`varchar(100)` of the source design).
    pub const MAX_CHARACTERS: usize = 100;

    /// Trims the text and checks it.
    ///
    /// # Errors
    ///
    /// [`InvalidEmail`] says what is wrong.
    pub fn try_new(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let characters = text.chars().count();
        if characters > Self::MAX_CHARACTERS {
            return Err(InvalidEmail::TooLong { characters });
        }
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail::NoAt)?;
        if domain.contains('@') {
            return Err(InvalidEmail::NoAt);
        }
        if local.len() > 64 || !local.split('.').all(is_atom) {
            return Err(InvalidEmail::Local);
        }
        if !is_domain(domain) {
            return Err(InvalidEmail::Domain);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address itself, as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

/// `Atom` of RFC 5321: one or more `atext` of RFC 5322, section 3.2.3.
fn is_atom(text: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    !text.is_empty() && text.bytes().all(is_atext)
}

/// Two labels or more (RFC 1035, section 2.3.1), the last one not a number.
fn is_domain(text: &str) -> bool {
    let mut labels = text.split('.');
    let is_named = labels
        .clone()
        .next_back()
        .is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
    is_named && text.contains('.') && labels.all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_what_people_have() {
        for text in [
            "ada@example.org",
            " ada@example.org ",
            "a@b.co",
            "ada.king+news@mail.example.co.uk",
            "o'hara@xn--mnchen-3ya.de",
            "1_2@3.example",
        ] {
            assert_eq!(Email::try_new(text).unwrap().as_str(), text.trim());
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", InvalidEmail::NoAt),
            ("ada", InvalidEmail::NoAt),
            ("ada@b@example.org", InvalidEmail::NoAt),
            ("@example.org", InvalidEmail::Local),
            ("a..b@example.org", InvalidEmail::Local),
            (".a@example.org", InvalidEmail::Local),
            ("a b@example.org", InvalidEmail::Local),
            ("ä@example.org", InvalidEmail::Local),
            ("\"a b\"@example.org", InvalidEmail::Local),
            ("ada@", InvalidEmail::Domain),
            ("ada@localhost", InvalidEmail::Domain),
            ("ada@example.", InvalidEmail::Domain),
            ("ada@-example.org", InvalidEmail::Domain),
            ("ada@example-.org", InvalidEmail::Domain),
            ("ada@exam_ple.org", InvalidEmail::Domain),
            ("ada@192.0.2.1", InvalidEmail::Domain),
            ("ada@[192.0.2.1]", InvalidEmail::Domain),
            ("ada@example.org\r\nBcc: x", InvalidEmail::Domain),
        ] {
            assert_eq!(Email::try_new(text), Err(error), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let local = "a".repeat(64);
        assert!(Email::try_new(&format!("{local}@example.org")).is_ok());
        let longer = Email::try_new(&format!("{local}a@example.org"));
        assert_eq!(longer, Err(InvalidEmail::Local));
        let at_limit = format!("{local}@{}.example.org", "b".repeat(23));
        assert_eq!(at_limit.len(), 100);
        assert!(Email::try_new(&at_limit).is_ok());
        let over = Email::try_new(&format!("{at_limit}x"));
        assert_eq!(over, Err(InvalidEmail::TooLong { characters: 101 }));
        let label = format!("a@{}.org", "b".repeat(64));
        assert_eq!(Email::try_new(&label), Err(InvalidEmail::Domain));
    }

    proptest! {
        #[test]
        fn an_address_is_one_again_and_safe_in_a_header(text in "[ -~ä\r\n]{0,110}") {
            if let Ok(email) = Email::try_new(&text) {
                prop_assert_eq!(Email::try_new(email.as_str()), Ok(email.clone()));
                prop_assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        #[test]
        fn plain_addresses_are_taken(
            local in "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20})?",
            domain in "[a-z0-9]{1,20}(-[a-z0-9]{1,10})?\\.[a-z]{2,6}",
        ) {
            let email = format!("{local}@{domain}");
            prop_assert!(Email::try_new(&email).is_ok());
        }
    }
}
