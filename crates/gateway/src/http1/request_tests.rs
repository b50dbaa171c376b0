//! Strictness of the request parser, as a table of hostile heads.

use proptest::prelude::*;

use super::*;
use crate::Limits;

fn read<T>(
    text: &[u8],
    look: impl FnOnce(&RequestHead<'_>, &Facts<'_>) -> T,
) -> Result<Option<T>, Refusal> {
    let limits = Limits::default();
    let mut fields = Fields::default();
    let Some(head) = parse_request(text, &mut fields, &limits)? else { return Ok(None) };
    let facts = Facts::of(&head, &limits)?;
    Ok(Some(look(&head, &facts)))
}

fn status(text: &str) -> u16 {
    match read(text.as_bytes(), |_, _| ()) {
        Ok(Some(())) => 200,
        Ok(None) => 100,
        Err(refusal) => refusal.status(),
    }
}

/// A GET with these header lines beside a valid Host.
fn with(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[test]
fn well_formed_requests_are_read() {
    for text in [
        &with(""),
        &with("Content-Length: 0\r\n"),
        &with("Transfer-Encoding: chunked\r\n"),
        &with("X-Empty:\r\nX-Spaces: \t a b \t\r\n"),
        &with("Connection: close, X-Mine\r\nX-Mine: 1\r\n"),
        "GET /a HTTP/1.0\r\n\r\n",
        "GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        assert_eq!(status(text), 200, "{text:?}");
    }
}

#[test]
fn ambiguous_requests_are_refused() {
    for text in [
        // Framing.
        &with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        &with("Content-Length: 1\r\nContent-Length: 1\r\n"),
        &with("Content-Length: 1\r\nContent-Length: 2\r\n"),
        &with("Content-Length: 1, 1\r\n"),
        &with("Content-Length: +1\r\n"),
        &with("Content-Length: -1\r\n"),
        &with("Content-Length: \r\n"),
        &with("Content-Length: 99999999999999999999\r\n"),
        &with("Transfer-Encoding: gzip, chunked\r\n"),
        &with("Transfer-Encoding: chunked, gzip\r\n"),
        &with("Transfer-Encoding: identity\r\n"),
        &with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        &with("Transfer-Encoding: \x0bchunked\r\n"),
        &with("Transfer-Encoding:\r\n"),
        "GET /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        // Lines.
        "GET /a HTTP/1.1\nHost: h\n\n",
        "GET /a HTTP/1.1\r\nHost: h\n\r\n",
        "GET /a HTTP/1.1\nHost: h\r\n\r\n",
        &with("A: b\nTransfer-Encoding: chunked\r\n"),
        &with("A: b\rC: d\r\n"),
        &with("A: b\r\n folded\r\n"),
        &with(" A: b\r\n"),
        &with("A : b\r\n"),
        &with("Content-Length : 1\r\n"),
        &with("A\tB: c\r\n"),
        &with(": b\r\n"),
        &with("A\r\n"),
        &with("A: b\0c\r\n"),
        &with("A\0: b\r\n"),
        "GET /a HTTP/1.1\r\nHost: h\r\nA:\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\n\n",
        "\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        // Request line.
        "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a  HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: h\r\n\r\n",
        "G\u{e4}T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        // Host.
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h, i\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h/../\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: u@h\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost:\r\n\r\n",
        // Connection may not take away what a later hop decides on.
        &with("Connection: Content-Length\r\nContent-Length: 1\r\n"),
        &with("Connection: Host\r\n"),
        &with("Connection: authorization\r\nAuthorization: Bearer x\r\n"),
        &with("Connection: X-Forwarded-For\r\n"),
    ] {
        assert_eq!(status(text), 400, "{text:?}");
    }
}

#[test]
fn each_limit_has_its_own_status() {
    assert_eq!(status("GET /a HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(status("GET /a HTTP/1.2\r\n\r\n"), 505);
    assert_eq!(status(&format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000))), 414);
    assert_eq!(status(&format!("GET /{}", "a".repeat(9000))), 414);
    assert_eq!(status(&with(&"A: b\r\n".repeat(101))), 431);
    assert_eq!(status(&with(&format!("A: {}\r\n", "b".repeat(40_000)))), 431);
    assert_eq!(status(&format!("GET /a HTTP/1.1\r\nA: {}", "b".repeat(40_000))), 431);
    assert_eq!(status(&with("Content-Length: 99999999999\r\n")), 413);
    assert_eq!(status(&with("Expect: tea\r\n")), 417);
    assert_eq!(status("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
    assert_eq!(status("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
}

#[test]
fn fields_of_the_hop_and_of_the_gateway_are_not_passed_on() {
    let text = with(
        "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX_User_Id: 1\r\nKeep-Alive: 1\r\n\
         TE: trailers\r\nX-Forwarded-For: 1\r\nX-End: 1\r\nContent_Length: 5\r\n",
    );
    let passed = read(text.as_bytes(), |head, facts| {
        let names = head.fields.iter().enumerate();
        let kept = names.filter(|(index, _)| facts.dropped >> index & 1 == 0);
        kept.map(|(_, field)| field.name.to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(passed, Ok(Some(vec!["X-End".to_owned()])));
}

#[test]
fn persistence_follows_the_version_and_connection() {
    let keep = |text: &str| read(text.as_bytes(), |_, facts| facts.keep_alive);
    assert_eq!(keep(&with("")), Ok(Some(true)));
    assert_eq!(keep(&with("Connection: Close\r\n")), Ok(Some(false)));
    assert_eq!(keep(&with("Connection: keep-alive, close\r\n")), Ok(Some(false)));
    assert_eq!(keep("GET / HTTP/1.0\r\n\r\n"), Ok(Some(false)));
    assert_eq!(keep("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), Ok(Some(true)));
    let both = "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n";
    assert_eq!(keep(both), Ok(Some(false)));
}

#[test]
fn the_authority_of_the_target_stands_in_for_host() {
    let text = b"GET http://real:1/a HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(read(text, |_, facts| facts.host.to_owned()), Ok(Some("real:1".into())));
}

#[test]
fn an_upgrade_counts_only_when_connection_names_it() {
    let upgrade = |lines: &str| {
        read(with(lines).as_bytes(), |_, facts| facts.upgrade.map(str::to_owned)).unwrap().unwrap()
    };
    assert_eq!(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\n"), Some("websocket".into()));
    assert_eq!(upgrade("Upgrade: websocket\r\n"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = read(&bytes, |_, _| ());
    }

    #[test]
    fn a_damaged_request_never_panics_and_never_hides_its_length(
        at in 0_usize..60, byte: u8,
    ) {
        let mut text = with("Content-Length: 5\r\nX-A: b\r\n").into_bytes();
        let at = at.min(text.len() - 1);
        text[at] = byte;
        let _ = read(&text, |head, _| assert!(head.length <= text.len()));
    }

    #[test]
    fn every_prefix_of_a_request_asks_for_more(cut in 1_usize..70) {
        let text = with("Content-Length: 5\r\nX-A: b\r\nX-C: d\r\n");
        let cut = cut.min(text.len() - 1);
        prop_assert_eq!(read(&text.as_bytes()[..cut], |_, _| ()), Ok(None));
    }
}
