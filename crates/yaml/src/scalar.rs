//! A scalar read as the type its reader wants.
//!
//! YAML 1.2 core schema, minus what people get wrong: no octal by a leading zero, no infinity.

use crate::Scalar;

/// The scalar is not of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}; {remedy}")]
pub struct NotThat {
    /// The wanted type in words.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl Scalar {
    /// A scalar without quotes, as an environment variable gives it.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), quoted: false }
    }

    /// What was found, in words for a message; long texts are cut.
    pub fn found(&self) -> String {
        let mut text: String = self.text.chars().take(60).collect();
        if text.len() < self.text.len() {
            text.push('…');
        }
        if self.quoted { format!("text \"{}\"", text.escape_debug()) } else { format!("`{text}`") }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    ///
    /// [`NotThat`] for everything else, `yes` and `"true"` in quotes included.
    pub fn boolean(&self) -> Result<bool, NotThat> {
        match &*self.text {
            "true" | "True" | "TRUE" if !self.quoted => Ok(true),
            "false" | "False" | "FALSE" if !self.quoted => Ok(false),
            "true" | "false" => Err(self.not("true or false", "remove the quotes")),
            _ => Err(self.not("true or false", "write true or false")),
        }
    }

    /// A whole number: decimal, `0x` hexadecimal or `0o` octal.
    ///
    /// # Errors
    ///
    /// [`NotThat`] for everything else: `012`, `1_000` and `"8080"` in quotes included.
    pub fn integer(&self) -> Result<i128, NotThat> {
        match integer(&self.text) {
            Some(number) if !self.quoted => Ok(number),
            Some(_) => Err(self.not("a whole number", "remove the quotes")),
            None => Err(self.not("a whole number", &self.number_remedy("such as 12"))),
        }
    }

    /// A number with or without a fraction; finite.
    ///
    /// # Errors
    ///
    /// [`NotThat`] for everything else, `.inf` and `"1.5"` in quotes included.
    pub fn float(&self) -> Result<f64, NotThat> {
        match float(&self.text) {
            Some(number) if !self.quoted => Ok(number),
            Some(_) => Err(self.not("a number", "remove the quotes")),
            None => Err(self.not("a number", &self.number_remedy("such as 1.5"))),
        }
    }

    /// The error that says this scalar is not what was expected.
    pub fn not(&self, expected: &str, remedy: &str) -> NotThat {
        NotThat { expected: expected.to_owned(), found: self.found(), remedy: remedy.to_owned() }
    }

    fn number_remedy(&self, example: &str) -> String {
        let bare: String = self.text.chars().filter(|c| *c != '_').collect();
        let digits = bare.trim_start_matches('0');
        let number = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit());
        match (number && bare.len() < 39, digits) {
            (true, "") => "write 0".to_owned(),
            (true, digits) if bare.len() == self.text.len() => {
                format!("write {digits}, or 0o{digits} if octal is meant")
            }
            (true, digits) => format!("write {digits} without `_`"),
            (false, _) => format!("write digits, {example}"),
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || leading_zero || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn radix(digits: &str, radix: u32) -> Option<i128> {
    // `from_str_radix` takes a sign, which has no place after the prefix.
    let first = digits.bytes().next()?;
    if first.is_ascii_alphanumeric() { i128::from_str_radix(digits, radix).ok() } else { None }
}

fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let leading_zero =
        digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    let numeric = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if leading_zero || !numeric || !digits.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_on_and_y_are_not_booleans() {
        for text in ["no", "on", "y", "yes", "off", "1", "tRUE", ""] {
            let error = Scalar::plain(text).boolean().unwrap_err();
            assert_eq!(error.remedy, "write true or false", "{text}");
        }
        assert_eq!(Scalar::plain("true").boolean(), Ok(true));
        assert_eq!(Scalar::plain("FALSE").boolean(), Ok(false));
    }

    #[test]
    fn quotes_make_a_text_and_the_remedy_says_so() {
        let quoted = |text: &str| Scalar { text: text.to_owned(), quoted: true };
        for remedy in [
            quoted("8080").integer().unwrap_err().remedy,
            quoted("1.5").float().unwrap_err().remedy,
            quoted("true").boolean().unwrap_err().remedy,
        ] {
            assert_eq!(remedy, "remove the quotes");
        }
    }

    #[test]
    fn a_leading_zero_or_an_underscore_is_not_a_number_and_the_remedy_spells_it() {
        let remedy = |text: &str| Scalar::plain(text).integer().unwrap_err().remedy;
        assert_eq!(remedy("012"), "write 12, or 0o12 if octal is meant");
        assert_eq!(remedy("1_000"), "write 1000 without `_`");
        assert_eq!(remedy("00"), "write 0");
        assert_eq!(remedy("abc"), "write digits, such as 12");
        assert_eq!(Scalar::plain("012").float().unwrap_err().remedy, remedy("012"));
    }

    #[test]
    fn hexadecimal_and_octal_need_their_prefix() {
        assert_eq!(Scalar::plain("0x1F").integer(), Ok(31));
        assert_eq!(Scalar::plain("0o17").integer(), Ok(15));
        assert_eq!(Scalar::plain("+7").integer(), Ok(7));
        for text in ["0x", "0x-1", "0o8", "0o+1", "-", "+", "1.0", "1e3", " 1"] {
            assert!(Scalar::plain(text).integer().is_err(), "{text}");
        }
    }

    #[test]
    fn a_float_is_finite() {
        assert_eq!(Scalar::plain("1.5e3").float(), Ok(1500.0));
        assert_eq!(Scalar::plain("7").float(), Ok(7.0));
        assert_eq!(Scalar::plain("0.5").float(), Ok(0.5));
        for text in [".inf", "inf", "nan", ".nan", "1e999", "", ".", "-", "1.2.3", "infinity"] {
            assert!(Scalar::plain(text).float().is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_in_the_message() {
        let found = Scalar::plain("ä".repeat(200)).found();
        assert!(found.chars().count() < 70, "{found}");
    }

    proptest! {
        #[test]
        fn every_integer_reads_back(number: i64) {
            prop_assert_eq!(Scalar::plain(number.to_string()).integer(), Ok(i128::from(number)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let scalar = Scalar::plain(text);
            let _ = (scalar.boolean(), scalar.integer(), scalar.float(), scalar.found());
        }
    }
}
