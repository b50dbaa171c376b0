//! A chunked body: the same in one piece as in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_gateway::http1::chunked::{Decoder, Output};

fuzz_target!(|input: (Vec<u8>, u8)| {
    let (bytes, cut) = input;
    let (mut whole, mut all) = (Decoder::default(), Vec::new());
    let at_once = whole.feed(&bytes, Output::Plain, &mut all);
    let (mut parts, mut some) = (Decoder::default(), Vec::new());
    let mut taken = Ok(0);
    for part in bytes.chunks(usize::from(cut).max(1)) {
        match parts.feed(part, Output::Plain, &mut some) {
            Ok(count) => taken = taken.map(|sum| sum + count),
            Err(error) => {
                taken = Err(error);
                break;
            }
        }
    }
    assert_eq!(at_once, taken);
    if at_once.is_ok() {
        assert_eq!(all, some);
    }
});
