//! A body of etcd's JSON gateway: no panic, and shown as it is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_control_plane::fuzzing;

fuzz_target!(|input: (u8, &[u8])| fuzzing::etcd_json(input.0, input.1));
