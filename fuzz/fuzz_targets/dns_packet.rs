//! A DNS packet: no panic, and an answer in bounds with the question's id, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_control_plane::answer_idle;

fuzz_target!(|packet: &[u8]| {
    for (over_tcp, most) in [(false, 4096), (true, 65_535)] {
        let Some(answer) = answer_idle(packet, over_tcp) else { continue };
        assert!(answer.len() <= most);
        assert_eq!(answer[..2], packet[..2]);
        // Whoever gets it sees that it is an answer, so that no two servers talk for ever.
        assert!(answer_idle(&answer, over_tcp).is_none());
    }
});
