//! Numbers as digits, without a formatter in between.

/// Appends the digits of a number.
pub(crate) fn push(out: &mut Vec<u8>, mut number: u64) {
    let digit = |number: u64| b'0' + (number % 10) as u8;
    // Statuses, lengths and parts of addresses: most numbers in a head.
    if number < 1000 {
        if number >= 100 {
            out.push(digit(number / 100));
        }
        if number >= 10 {
            out.push(digit(number / 10));
        }
        return out.push(digit(number));
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit(number);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prints_as_the_formatter_does(number: u64) {
            let mut out = Vec::new();
            push(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn small_ones_print_as_the_formatter_does() {
        for number in 0..=1100 {
            let mut out = Vec::new();
            push(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
