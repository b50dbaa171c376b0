//! The numbers inside a `SubjectPublicKeyInfo` (RFC 5280, section 4.1).

/// The modulus and exponent of an RSA key, without leading zeros.
pub(crate) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let key = public_key(der)?;
    let (numbers, _) = element(key, 0x30)?;
    let (modulus, rest) = element(numbers, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((without_zeros(modulus), without_zeros(exponent)))
}

/// The bits of the public key itself: a point, a raw key, or RSA's numbers in DER.
pub(crate) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (info, _) = element(der, 0x30)?;
    let (_algorithm, rest) = element(info, 0x30)?;
    let (bits, _) = element(rest, 0x03)?;
    // The first byte counts unused bits; keys are whole bytes.
    bits.strip_prefix(&[0])
}

/// The content of an element of this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // A key is far smaller than the 64 KiB that two bytes of length can say.
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_numbers_of_an_rsa_key() {
        // SEQUENCE { SEQUENCE {}, BIT STRING { SEQUENCE { INTEGER 00 c5, INTEGER 01 00 01 } } }
        let der = [
            0x30, 0x10, 0x30, 0x00, 0x03, 0x0c, 0x00, 0x30, 0x09, 0x02, 0x02, 0x00, 0xc5, 0x02,
            0x03, 0x01, 0x00, 0x01,
        ];
        assert_eq!(rsa_numbers(&der), Some((&[0xc5][..], &[1, 0, 1][..])));
    }

    #[test]
    fn a_length_beyond_the_end_is_no_key() {
        assert_eq!(public_key(&[0x30, 0x05, 0x30, 0x00]), None);
        assert_eq!(public_key(&[0x30, 0x82, 0x01]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = rsa_numbers(&bytes);
        }
    }
}
