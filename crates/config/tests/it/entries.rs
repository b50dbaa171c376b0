//! The effective values as `config show` prints them.

use super::*;

/// `key = value (origin)`, one a line.
fn show(yaml: &str, environment: &[(&str, &str)]) -> String {
    let entries = config(yaml, environment).entries::<All>();
    let line = |e: &regatta_config::Entry| format!("{} = {} ({})", e.key, e.value, e.origin);
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_setting_is_there_with_its_value_and_origin() {
    let yaml = "server:\n  names: [a, \"b c\"]\nother: {x: 1}\n";
    assert_eq!(
        show(yaml, &[("PORT", "80"), ("JWT_SECRET", "hunter22")]),
        "\
auth.issuer =  (default)
auth.secret = *** (environment variable JWT_SECRET)
client.breaker.enabled = true (default)
client.breaker.failure_threshold = 5 (default)
client.breaker.share = 0.1 (default)
other.x = 1 (config.yaml:3:12)
server.header_read_timeout = 10s (default)
server.headers = {} (default)
server.log = json (default)
server.max_body = 1MiB (default)
server.names = [a, b c] (config.yaml:2:10)
server.port = 80 (environment variable PORT)"
    );
}

#[test]
fn secrets_and_passwords_in_urls_are_hidden_wherever_they_stand() {
    let yaml = "\
auth: {secret: hunter2}
server: {headers: {api_token: hunter2, via: \"http://u:hunter2@h/\"}, names: [\"redis://:hunter2@h\"]}
mine: {password: hunter2, url: \"postgres://u:hunter2@h/db?x=1\", list: [{client_secret: hunter2}]}
";
    let shown = show(yaml, &[]);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("mine.url = postgres://u:***@h/db?x=1"), "{shown}");
    assert!(shown.contains("auth.secret = *** (config.yaml:1:16)"), "{shown}");
}

#[test]
fn the_url_of_the_database_is_hidden_as_a_whole() {
    let config = config("", &[("DATABASE_URL", "postgres://u:hunter2@h/db")]);
    let entries = config.entries::<regatta_config::DatabaseSettings>();
    let url = entries.iter().find(|entry| entry.key == "database.url").unwrap();
    assert_eq!(url.value, "***");
    let password = entries.iter().find(|entry| entry.key == "database.password").unwrap();
    assert_eq!(password.value, "\"\"", "an empty password is no secret, and worth seeing");
}

#[test]
fn urls_are_redacted_in_any_text() {
    for (text, shown) in [
        ("postgres://app:pw@db/app", "postgres://app:***@db/app"),
        ("a http://u:p@x and http://v:q@y", "a http://u:***@x and http://v:***@y"),
        ("redis://:pw@h:1", "redis://:***@h:1"),
        ("http://h:80/a@b", "http://h:***@b"),
        ("http://h/a:b@c", "http://h/a:b@c"),
        ("http://u:p/w@h", "http://u:***@h"),
        ("http://u:p@ss@h", "http://u:***@h"),
        ("http://user@h:80", "http://user@h:80"),
        ("`http://u:long-pass…`", "`http://u:***`"),
        ("no url", "no url"),
        ("://", "://"),
    ] {
        assert_eq!(regatta_config::redact_urls(text), shown, "{text}");
    }
}

#[test]
fn each_value_of_a_map_is_shown_with_the_layer_that_it_comes_from() {
    let yaml = "server:\n  headers:\n    via: a\n    token: hunter2\n";
    let shown = show(yaml, &[("SERVER__HEADERS__VIA", "b")]);
    assert!(
        shown.contains("server.headers.via = b (environment variable SERVER__HEADERS__VIA)"),
        "{shown}"
    );
    assert!(shown.contains("server.headers.token = *** (config.yaml:4:12)"), "{shown}");
    assert!(!shown.contains("server.headers = "), "{shown}");
}
