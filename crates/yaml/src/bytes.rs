//! Byte sizes as people write them: `1MiB`, `512KiB`, `10MB`, `4096`.

/// The text is not a byte size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBytes {
    /// A unit that does not exist.
    #[error("`{unit}` is not a unit of size; use B, KiB, MiB, GiB, TiB or kB, MB, GB, TB")]
    BadUnit {
        /// What stands where the unit belongs.
        unit: String,
    },
    /// Not a number and a unit.
    #[error("`{text}` is not a size; write a whole number and a unit, such as 1MiB or 512KiB")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// More than fits into 64 bits.
    #[error("`{text}` is too large; use at most 8388607TiB")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

/// Bytes of each unit.
const UNITS: [(&str, u64); 11] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

/// Reads a size in bytes: a whole number and a unit; without a unit it is bytes.
///
/// `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024; `kB` (also `KB`), `MB`, `GB`, `TB` of 1000.
///
/// # Errors
///
/// [`InvalidBytes`] says what is missing.
pub fn parse_bytes(text: &str) -> Result<u64, InvalidBytes> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if number.is_empty() || unit.starts_with(['.', '-', '_']) {
        return Err(InvalidBytes::Malformed { text: text.to_owned() });
    }
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| InvalidBytes::BadUnit { unit: unit.to_owned() })?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| InvalidBytes::TooLarge { text: text.to_owned() })
}

/// Writes a size so that [`parse_bytes`] reads the same, in the largest unit that divides it.
pub fn format_bytes(bytes: u64) -> String {
    let binary =
        UNITS.iter().take(4).find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    let (name, factor) = binary.unwrap_or(&("B", 1));
    format!("{}{name}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn binary_and_decimal_units_differ() {
        for (text, bytes) in [
            ("1MiB", 1_048_576),
            ("1MB", 1_000_000),
            ("512KiB", 524_288),
            ("1 kB", 1000),
            ("7B", 7),
            ("4096", 4096),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn says_what_is_missing() {
        let error = |text: &str| parse_bytes(text).unwrap_err().to_string();
        assert!(error("1mb").contains("`mb` is not a unit"));
        assert!(error("1.5MiB").contains("whole number"));
        assert!(error("").contains("whole number"));
        assert!(error("-1").contains("whole number"));
        assert!(error("8388608TiB").contains("too large"));
        assert!(error(&"9".repeat(40)).contains("too large"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in 0..=i64::MAX as u64) {
            prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_bytes(&text);
        }
    }
}
