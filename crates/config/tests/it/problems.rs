//! All problems at once, each with its place and its remedy.

use super::*;

const SECRET: (&str, &str) = ("JWT_SECRET", "long-enough");

#[test]
fn everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_text() {
    let yaml = "\
server:
  prot: 80
  port: 70000
  header_read_timeout: 30
  log: jsn
client:
  breaker: {enabled: yes, failure_threshold: 0}
colour: red
";
    let environment = [("SERVER__MAX_BODY", "1mb"), ("CLIENT__BREAKER__SHRE", "0.5")];
    assert_eq!(
        report::<All>(yaml, &environment),
        [
            "config.yaml:2:3: server.prot: unknown key; did you mean `server.port`?",
            "config.yaml:3:9: server.port: expected a whole number from 0 to 65535, found `70000`; \
             use 0 to 65535",
            "config.yaml:4:24: server.header_read_timeout: expected a duration such as 30s, found \
             `30`; `30` has no unit; write `30s` for seconds or `30ms` for milliseconds",
            "config.yaml:5:8: server.log: expected json or text, found `jsn`; did you mean `json`?",
            "config.yaml:7:22: client.breaker.enabled: expected true or false, found `yes`; write \
             true or false",
            "config.yaml:7:46: client.breaker.failure_threshold: `0` is not allowed; use 1 to 1000",
            "config.yaml:8:1: colour: unknown key; remove it, or use one of those known at the top: \
             server, auth, client",
            "environment variable CLIENT__BREAKER__SHRE: client.breaker.shre: unknown key; did you \
             mean `client.breaker.share` (CLIENT__BREAKER__SHARE)?",
            "environment variable SERVER__MAX_BODY: server.max_body: expected a size such as 1MiB, \
             found `1mb`; `mb` is not a unit of size; use B, KiB, MiB, GiB, TiB or kB, MB, GB, TB",
            "auth.secret: a secret text is required and set nowhere; set the environment variable \
             JWT_SECRET or AUTH__SECRET, or `auth.secret` in config.yaml",
        ]
    );
}

#[test]
fn a_good_configuration_has_no_problem() {
    assert_eq!(
        report::<All>("server: {port: 80}\nauth:\nclient: {breaker: {}}\n", &[SECRET]),
        [""; 0]
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let environment = [SECRET, ("PATH", "/bin"), ("OTHER__THING", "1"), ("__X", "1"), ("A__", "2")];
    assert_eq!(report::<All>("", &environment), [""; 0]);
}

#[test]
fn a_group_that_is_no_map_is_reported_with_what_was_found() {
    assert_eq!(
        report::<ServerSettings>("server: 8080\n", &[]),
        [
            "config.yaml:1:9: server: expected a map, found `8080`; write `key: value` lines below it"
        ]
    );
}

#[test]
fn open_loading_lets_strangers_through_but_not_misspelt_groups() {
    let open = |yaml: &str| config(yaml, &[]).load_open::<ServerSettings>();
    assert!(open("payment: {limit: 3}\n").is_ok());
    let error = open("sever: {port: 3}\n").unwrap_err().to_string();
    assert_eq!(error, "config.yaml:1:1: sever: unknown key; did you mean `server`?");
    assert!(open("server: {prot: 3}\n").is_err());
    assert!(open("server: {colour: red}\n").is_err(), "only the top level is open");
}

#[test]
fn a_null_value_is_a_problem_unless_the_setting_is_optional() {
    let problems = report::<All>("server: {port: }\nauth: {issuer: ~, secret: ~}\n", &[]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("found nothing; write a value or remove the key"));
    assert!(problems[1].starts_with("auth.secret: a secret text is required"));
}

#[test]
fn an_item_of_a_list_and_a_value_of_a_map_are_named() {
    let yaml = "server: {names: [a, [b]], headers: {x: {y: z}}}\n";
    let problems = report::<ServerSettings>(yaml, &[]);
    assert!(problems[0].contains("server.names[1]: expected a text, found a list"), "{problems:?}");
    assert!(problems[1].contains("server.headers.x: expected a text, found a map"), "{problems:?}");
}

#[test]
fn a_list_where_one_value_belongs_and_the_reverse_are_reported() {
    let problems = report::<ServerSettings>("server: {port: [1], names: a, headers: b}\n", &[]);
    assert!(problems[0].contains("found a list; write a single value"), "{problems:?}");
    assert!(problems[1].contains("found `a`; write [a, b]"), "{problems:?}");
    assert!(problems[2].contains("found `b`; write {a: b}"), "{problems:?}");
}

#[test]
fn malformed_lists_and_maps_in_variables_are_reported() {
    let one = |name: &str, text: &str| report::<ServerSettings>("", &[(name, text)]).remove(0);
    assert!(one("SERVER__NAMES", "[a").contains("not YAML"));
    assert!(one("SERVER__HEADERS", "{a").contains("not YAML"));
    assert!(one("SERVER__HEADERS", "a").contains("write a=1,b=2 or {a: 1, b: 2}"));
    assert!(one("SERVER__HEADERS", "a=1,a=2").contains("occurs twice"));
}

#[test]
fn a_nested_variable_below_a_single_value_is_reported() {
    let problems = report::<ServerSettings>("", &[("SERVER__PORT__X", "1")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("server.port: expected a whole number"), "{problems:?}");
}

#[test]
fn no_message_shows_a_secret() {
    let shown = report::<All>("auth: {secret: hunter2}\n", &[]).join("\n");
    assert!(shown.contains("use 8 bytes or more"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown =
        report::<ServerSettings>("server: {log: \"redis://u:hunter2@h\"}\n", &[]).join("\n");
    assert!(shown.contains("redis://u:***@h") && !shown.contains("hunter2"), "{shown}");
    settings! {
        /// A secret that is no text.
        pub struct PinSettings in "pin" {
            /// The number.
            pub code: u32, secret, range 1..=9;
        }
    }
    let shown = report::<PinSettings>("pin: {code: 0123}\n", &[("OTHER", "")]).join("\n");
    assert!(shown.contains("expected a whole number") && !shown.contains("123"), "{shown}");
    let shown = report::<PinSettings>("pin: {code: 123}\n", &[]).join("\n");
    assert!(shown.contains("use 1 to 9") && !shown.contains("123"), "{shown}");
    let error = config("x: {password: hunter2}", &[]).get::<u32>("x.password").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_variable_that_was_not_utf8_is_reported() {
    let problems = report::<ServerSettings>("", &[("PORT", "80\u{fffd}")]);
    assert!(problems[0].contains("environment variable PORT: server.port: the value is not UTF-8"));
}

#[test]
fn two_structs_may_share_a_group() {
    settings! {
        /// Sizes of the pool.
        pub struct PoolSettings in "database" {
            /// Most connections.
            pub max_connections: u32 = 10;
        }
    }
    type Both = (regatta_config::DatabaseSettings, PoolSettings);
    let yaml = "database: {host: db, max_connections: 3}";
    let (database, pool): Both = load(yaml, &[]).unwrap();
    assert_eq!((database.host.as_str(), pool.max_connections), ("db", 3));
    assert!(load::<PoolSettings>(yaml, &[]).is_err());
}

#[test]
fn debug_output_shows_no_values() {
    let config = config("auth: {secret: hunter2}", &[("AUTH__ISSUER", "hunter3")]);
    assert!(!format!("{config:?}").contains("hunter"));
}

#[test]
fn an_optional_value_that_is_absent_is_never_out_of_range() {
    settings! {
        /// Something that may be missing.
        pub struct MaybeSettings in "maybe" {
            /// The number.
            pub number: Option<u32>, range Some(1)..=Some(9);
        }
    }
    for yaml in ["", "maybe: {number: ~}\n", "maybe: {number: 9}\n"] {
        assert_eq!(report::<MaybeSettings>(yaml, &[]), [""; 0], "{yaml}");
    }
    let found = report::<MaybeSettings>("maybe: {number: 10}\n", &[]);
    assert!(found[0].ends_with("`10` is not allowed; use 1 to 9"), "{found:?}");
}
