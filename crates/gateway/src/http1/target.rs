//! Request targets and the one spelling of a path.

use std::borrow::Cow;

use super::Refusal;

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Host and port of an absolute-form target; it stands in for `Host`.
    pub authority: Option<&'a str>,
    /// The path as it came, beginning with `/`; `*` for the server itself.
    pub path: &'a str,
    /// What follows the path: empty, or `?` and the query.
    pub query: &'a str,
}

/// Takes a target apart (RFC 9112, section 3.2). Fragments, user names, `"`, `<`, `>` and anything
/// but printable ASCII are refused: clients escape these, and servers refuse them.
///
/// # Errors
///
/// [`Refusal::Malformed`] for a target of no known form.
pub fn parse<'a>(method: &str, target: &'a str) -> Result<Target<'a>, Refusal> {
    if !target.bytes().all(|it| it.is_ascii_graphic() && !matches!(it, b'#' | b'"' | b'<' | b'>')) {
        return Err(Refusal::Malformed("the target has a character that must be escaped"));
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else if target == "*" {
        if method != "OPTIONS" {
            return Err(Refusal::Malformed("the target `*` is for OPTIONS only"));
        }
        (None, target)
    } else {
        let rest = strip_scheme(target)
            .ok_or(Refusal::Malformed("the target is neither a path nor an http URL"))?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if !is_authority(authority) {
            return Err(Refusal::Malformed("the target names no valid host"));
        }
        (Some(authority), rest)
    };
    let at = rest.find('?').unwrap_or(rest.len());
    let (path, query) = rest.split_at(at);
    // `http://host` and `http://host?q` mean the root (RFC 9112, section 3.2.1).
    Ok(Target { authority, path: if path.is_empty() { "/" } else { path }, query })
}

/// Whether the text is a host with an optional port: no user name, no path, no spaces.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let host_is_valid = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b));
    let port_is_valid = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|p| p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()));
    host_is_valid && port_is_valid
}

/// The path in the one spelling that rules are matched on and that is forwarded, so that no other
/// spelling slips past a rule.
///
/// Beside what [`regatta_traffic::route::canonical`] refuses, it refuses what upstreams in other
/// languages are known to read differently: parameters of segments (`/admin;x`, cut off by Java
/// servers) and paths that are escaped twice.
///
/// # Errors
///
/// [`Refusal::Malformed`] names the part that is ambiguous.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, Refusal> {
    let canonical = regatta_traffic::route::canonical(path)
        .map_err(|error| Refusal::Malformed(reason(error)))?;
    let bytes = canonical.as_bytes();
    let mut has_escapes = false;
    for byte in bytes {
        match byte {
            b';' => return Err(Refusal::Malformed("the path has parameters (`;`); escape it")),
            b'`' => return Err(Refusal::Malformed("the path has a backtick; escape it")),
            b'%' => has_escapes = true,
            _ => (),
        }
    }
    if has_escapes && (canonical.contains("%3B") || bytes.windows(5).any(is_escaped_twice)) {
        return Err(Refusal::Malformed("the path is escaped twice or has an escaped `;`"));
    }
    Ok(canonical)
}

fn reason(error: regatta_traffic::route::AmbiguousPath) -> &'static str {
    use regatta_traffic::route::AmbiguousPath;
    match error {
        AmbiguousPath::DotSegment => "the path has a `.` or `..` segment; send it resolved",
        AmbiguousPath::EmptySegment => "the path has an empty segment (`//`); leave it out",
        AmbiguousPath::HiddenSeparator => "the path has an escaped slash or a backslash",
        AmbiguousPath::ControlCharacter => "the path has an escaped control character",
        _ => "the path is not percent-encoded",
    }
}

fn is_escaped_twice(bytes: &[u8]) -> bool {
    bytes.starts_with(b"%25") && bytes[3..].iter().all(u8::is_ascii_hexdigit)
}

fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_form_apart() {
        let origin = parse("GET", "/a/b?c=d?e").unwrap();
        assert_eq!(origin, Target { authority: None, path: "/a/b", query: "?c=d?e" });
        let absolute = parse("GET", "HTTP://h:80/a?b").unwrap();
        assert_eq!(absolute, Target { authority: Some("h:80"), path: "/a", query: "?b" });
        let bare = parse("GET", "http://h?x").unwrap();
        assert_eq!(bare, Target { authority: Some("h"), path: "/", query: "?x" });
        assert_eq!(parse("OPTIONS", "*").unwrap().path, "*");
    }

    #[test]
    fn refuses_targets_of_no_form() {
        for target in [
            "",
            "a",
            "host:80",
            "ftp://h/",
            "http://",
            "http:///a",
            "http://u@h/",
            "/a#b",
            "/a\u{e4}",
            "http://h:port/",
            "http://[::1/",
            "/a b",
            "/a?b=\"",
            "/<a>",
        ] {
            assert!(parse("GET", target).is_err(), "{target:?}");
        }
        assert!(parse("GET", "*").is_err());
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for text in ["h", "a.b:1", "127.0.0.1:8080", "[::1]", "[::1]:80", "h:"] {
            assert!(is_authority(text), "{text}");
        }
        for text in
            ["", ":80", "a b", "a/b", "u@h", "h:1:2", "[::1", "[x]", "h:123456", "a,b", "h:8o"]
        {
            assert!(!is_authority(text), "{text}");
        }
    }

    #[test]
    fn no_spelling_of_a_path_slips_past_a_rule() {
        for spelling in [
            "/user-service/admin",
            "/user-service/%61dmin",
            "/user-service/%61%64%6D%69%6e",
            "/%75ser-service/admin",
        ] {
            assert_eq!(canonical(spelling).unwrap(), "/user-service/admin", "{spelling}");
        }
        for spelling in [
            "//user-service/admin",
            "/user-service//admin",
            "/user-service/./admin",
            "/user-service/x/../admin",
            "/user-service/x/%2e%2e/admin",
            "/user-service/.%2E/admin",
            "/user-service%2fadmin",
            "/user-service%2Fadmin",
            "/user-service/x%5cadmin",
            "/user-service\\admin",
            "/user-service/%2561dmin",
            "/user-service/a%00",
            "/a%0d",
            "/%",
            "/%6",
            "/%6g",
            "/x/..;/admin",
            "/x/;/admin",
            "/a/..",
            "/a/.",
            "/user-service/admin;a",
            "/user-service/admin%3ba",
        ] {
            assert!(canonical(spelling).is_err(), "{spelling}");
        }
    }

    #[test]
    fn a_percent_sign_alone_is_a_character_like_any_other() {
        assert_eq!(canonical("/sale/100%25").unwrap(), "/sale/100%25");
        assert_eq!(canonical("/sale/100%25off").unwrap(), "/sale/100%25off");
    }
}
