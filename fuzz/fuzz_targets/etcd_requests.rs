//! Requests of etcd's clients: no panic, no revision lost, the log makes the same state.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_control_plane::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::etcd_requests(bytes, std::time::Instant::now()));
