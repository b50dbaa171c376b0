//! A connection's first bytes: passed on, in one piece as in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_control_plane::fuzzing;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (cut, kind, bytes) = input;
    // A greeting, and the head of a frame, are not left to chance.
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let length = u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
    let frame = [&length[1..], &[1, kind, 0, 0, 0, 1], bytes].concat();
    fuzzing::first_head(bytes, cut.into());
    fuzzing::first_head(&[greeting, bytes].concat(), cut.into());
    fuzzing::first_head(&[greeting, &frame[..]].concat(), cut.into());
});
