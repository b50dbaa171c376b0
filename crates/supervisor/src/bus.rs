//! Where the event bus is, as others may read it.

use serde::{Deserialize, Serialize};

/// The event bus of a system, without the secrets of its URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bus {
    /// Its URL, `***` in the place of each secret.
    pub url: String,
    /// Whether nothing was left out, so that the URL is enough to connect.
    pub is_whole: bool,
}

impl Bus {
    /// The bus at a URL, or at several with commas between.
    pub(crate) fn of(url: &str) -> Self {
        let url = url.trim();
        let shown = match is_nats(url) {
            true => url.split(',').map(without_secret).collect::<Vec<_>>().join(","),
            false => without_secret(url),
        };
        Self { is_whole: shown == url, url: shown }
    }
}

fn is_nats(url: &str) -> bool {
    url.starts_with("nats:") || url.starts_with("tls:") || !url.contains("://")
}

/// The URL without its password; a user of NATS without one is a token.
fn without_secret(url: &str) -> String {
    let (head, query) = match url.split_once('?') {
        // A question mark before the host belongs to a password that is not encoded as it should be.
        Some((head, query)) if !query.contains('@') => (head, Some(query)),
        _ => (url, None),
    };
    let begin = head.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = head.split_at(begin);
    let shown = match rest.rsplit_once('@') {
        Some((credentials, host)) => match credentials.split_once(':') {
            Some((user, _)) if !user.contains('@') => format!("{scheme}{user}:***@{host}"),
            None if !is_nats(url) => head.to_owned(),
            _ => format!("{scheme}***@{host}"),
        },
        None => head.to_owned(),
    };
    let Some(query) = query else { return shown };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(pair).collect();
    format!("{shown}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("postgres://app:pw@db/events", "postgres://app:***@db/events"),
            ("postgres://app:p@w/o?rd@db:1/e", "postgres://app:***@db:1/e"),
            ("postgres://db/e?password=pw&x=1", "postgres://db/e?password=***&x=1"),
            ("postgres://app:p,w@db", "postgres://app:***@db"),
            ("nats://token@a:1,nats://u:pw@b,u:p@c", "nats://***@a:1,nats://u:***@b,u:***@c"),
        ] {
            assert_eq!(Bus::of(url), Bus { url: shown.to_owned(), is_whole: false });
        }
    }

    #[test]
    fn a_url_without_secrets_is_whole() {
        for url in [
            "postgres://app@db:5432/events",
            "sqlite:///shop/a.db?mode=rw",
            "nats://a:1,b:2",
            "postgres://app@[::1]:1/e",
        ] {
            assert_eq!(Bus::of(url), Bus { url: url.to_owned(), is_whole: true });
        }
    }
}
