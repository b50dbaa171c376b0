//! The field `Date`, made once a second.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The field with its line's end.
const LENGTH: usize = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();

thread_local! {
    /// The second it was made in, and the field.
    static MADE: Cell<(u64, [u8; LENGTH])> = const { Cell::new((u64::MAX, [0; LENGTH])) };
}

/// Writes the field for `now`: who passes an answer on that has none writes when it came (RFC 9110,
/// section 6.6.1).
pub(crate) fn push(now: SystemTime, out: &mut Vec<u8>) {
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (made, mut field) = MADE.get();
    if made != second {
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        let parts = b"Date: ".iter().chain(text.as_bytes()).chain(b"\r\n");
        field.iter_mut().zip(parts).for_each(|(place, byte)| *place = *byte);
        MADE.set((second, field));
    }
    out.extend_from_slice(&field);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_date_of_the_second() {
        let mut out = Vec::new();
        let now = UNIX_EPOCH + Duration::from_millis(784_111_777_999);
        push(now, &mut out);
        push(now + Duration::from_millis(1), &mut out);
        let lines =
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), lines);
    }
}
