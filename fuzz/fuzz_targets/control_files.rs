//! Files that the control plane reads, its log and its access file: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_control_plane::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::log_file(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        fuzzing::access_file(text);
    }
});
