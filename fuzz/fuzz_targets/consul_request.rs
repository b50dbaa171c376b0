//! A request to Consul's interface: no panic, whatever its target and body are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_control_plane::read_idle;

fuzz_target!(|input: (String, Vec<u8>)| {
    let (target, body) = input;
    let taken = read_idle(&target, &body);
    // The same bytes are read the same way.
    assert_eq!(read_idle(&target, &body), taken);
});
