//! An amount of money, exact.

use std::fmt;
use std::str::FromStr;

/// An amount of money in hundredths, 0.01 to 999999999.99. Exact: it is never a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i64);

/// The text or number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAmount {
    /// Not digits with at most one point.
    #[error("the amount is not a decimal number; write it like 19.99, without sign or exponent")]
    NotDecimal,
    /// A fraction of the smallest coin.
    #[error("the amount has more than two decimal places; write it like 19.99")]
    TooPrecise,
    /// Nothing to pay.
    #[error("the amount is zero; write 0.01 or more")]
    Zero,
    /// More than anything here costs.
    #[error("the amount is too large; write at most 999999999.99")]
    TooLarge,
}

impl Amount {
    /// What is paid without asking anybody, unless the operator says otherwise: 1000.00.
    pub const DEFAULT_LIMIT: Self = Self(100_000);

    const MAX_HUNDREDTHS: i64 = 99_999_999_999;

    /// The amount of so many hundredths.
    ///
    /// # Errors
    ///
    /// [`InvalidAmount`] under 1 and over the largest.
    pub fn from_hundredths(hundredths: i64) -> Result<Self, InvalidAmount> {
        match hundredths {
            ..=0 => Err(InvalidAmount::Zero),
            1..=Self::MAX_HUNDREDTHS => Ok(Self(hundredths)),
            _ => Err(InvalidAmount::TooLarge),
        }
    }

    /// How many hundredths it is.
    pub fn hundredths(self) -> i64 {
        self.0
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(InvalidAmount::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 2 {
            return Err(InvalidAmount::TooPrecise);
        }
        // Digits only, so all that can go wrong is that there are too many of them.
        let hundredths = format!("{whole}{fraction:0<2}").parse();
        Self::from_hundredths(hundredths.map_err(|_| InvalidAmount::TooLarge)?)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_decimals_exactly() {
        for (text, hundredths) in [
            ("19.99", 1999),
            ("0.01", 1),
            ("7", 700),
            ("7.5", 750),
            ("7.500", 750),
            ("007.50", 750),
            ("999999999.99", 99_999_999_999),
        ] {
            assert_eq!(text.parse::<Amount>().map(Amount::hundredths), Ok(hundredths), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("", InvalidAmount::NotDecimal),
            (".", InvalidAmount::NotDecimal),
            (".5", InvalidAmount::NotDecimal),
            ("5.", InvalidAmount::NotDecimal),
            ("-1", InvalidAmount::NotDecimal),
            ("+1", InvalidAmount::NotDecimal),
            ("1e3", InvalidAmount::NotDecimal),
            ("1,50", InvalidAmount::NotDecimal),
            ("1.2.3", InvalidAmount::NotDecimal),
            ("NaN", InvalidAmount::NotDecimal),
            ("1.005", InvalidAmount::TooPrecise),
            ("0", InvalidAmount::Zero),
            ("0.00", InvalidAmount::Zero),
            ("1000000000", InvalidAmount::TooLarge),
            ("99999999999999999999999999", InvalidAmount::TooLarge),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(hundredths in 1..=Amount::MAX_HUNDREDTHS) {
            let amount = Amount::from_hundredths(hundredths).unwrap();
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }

        #[test]
        fn a_double_of_two_places_shows_as_the_amount(hundredths in 1..=Amount::MAX_HUNDREDTHS) {
            // What a JSON number goes through; eleven digits are far under a double's fifteen.
            let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            let double: f64 = text.parse().unwrap();
            let amount: Amount = double.to_string().parse().unwrap();
            prop_assert_eq!(amount.hundredths(), hundredths);
        }
    }
}
