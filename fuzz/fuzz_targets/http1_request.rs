//! A request's head: no panic, and nothing accepted that frames two ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regatta_gateway::Limits;
use regatta_gateway::http1::{Facts, Fields, parse_request, target};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let mut fields = Fields::default();
    let Ok(Some(head)) = parse_request(bytes, &mut fields, &limits) else { return };
    assert!(head.length <= bytes.len());
    assert!(bytes[..head.length].ends_with(b"\r\n\r\n"));
    // No line ends with LF alone.
    let bare = |pair: &[u8]| pair[1] == b'\n' && pair[0] != b'\r';
    assert!(!bytes[..head.length].windows(2).any(bare));
    let Ok(facts) = Facts::of(&head, &limits) else { return };
    let count = |name: &str| {
        head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
    };
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    assert!(count("host") <= 1);
    if facts.target.path != "*"
        && let Ok(path) = target::canonical(facts.target.path)
    {
        assert!(!path.contains("//") && !path.contains("/../"));
    }
});
