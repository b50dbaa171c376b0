//! Variables over the file.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_nested_variable_wins_over_the_file_and_the_file_over_the_default() {
    let yaml = "server: {port: 1, header_read_timeout: 2s}";
    let server: ServerSettings = load(yaml, &[("SERVER__PORT", "3")]).unwrap();
    assert_eq!(server.port, 3);
    assert_eq!(server.header_read_timeout, Duration::from_secs(2));
    assert_eq!(server.max_body, ByteSize::mib(1));
}

#[test]
fn an_alias_wins_over_the_file_and_the_own_variable_over_the_alias() {
    let yaml = "server: {port: 1}";
    let port = |environment: &[(&str, &str)]| -> u16 {
        load::<ServerSettings>(yaml, environment).unwrap().port
    };
    assert_eq!(port(&[("PORT", "2")]), 2);
    assert_eq!(port(&[("PORT", "2"), ("SERVER__PORT", "3")]), 3);
}

#[test]
fn a_variable_with_dots_is_the_same_as_with_underscores() {
    let server: ServerSettings = load("", &[("SERVER.PORT", "7")]).unwrap();
    assert_eq!(server.port, 7);
}

#[test]
fn an_empty_variable_overrides_nothing() {
    let yaml = "server: {port: 1}";
    let server: ServerSettings = load(yaml, &[("PORT", ""), ("SERVER__PORT", "")]).unwrap();
    assert_eq!(server.port, 1);
}

#[test]
fn a_group_inside_a_group_is_reached_by_its_whole_path() {
    let breaker: BreakerSettings =
        load("", &[("CLIENT__BREAKER__FAILURE_THRESHOLD", "9")]).unwrap();
    assert_eq!(breaker.failure_threshold, 9);
}

#[test]
fn a_list_is_written_with_commas_or_in_brackets() {
    for text in ["a,b", "a, b", "[a, b]", "[\"a\", b]"] {
        let server: ServerSettings = load("", &[("SERVER__NAMES", text)]).unwrap();
        assert_eq!(server.names, ["a", "b"], "{text}");
    }
}

#[test]
fn a_map_is_written_with_commas_or_in_braces_or_one_variable_a_key() {
    let expected = BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
    for environment in [
        &[("SERVER__HEADERS", "a=1,b=2")][..],
        &[("SERVER__HEADERS", "{a: 1, b: 2}")],
        &[("SERVER__HEADERS__A", "1"), ("SERVER__HEADERS__B", "2")],
    ] {
        let server: ServerSettings = load("", environment).unwrap();
        assert_eq!(server.headers, expected, "{environment:?}");
    }
}

#[test]
fn one_key_of_a_map_from_a_variable_joins_those_of_the_file() {
    let yaml = "server: {headers: {a: 1, b: 2}}";
    let server: ServerSettings = load(yaml, &[("SERVER__HEADERS__B", "3")]).unwrap();
    assert_eq!(
        server.headers,
        BTreeMap::from([("a".into(), "1".into()), ("b".into(), "3".into())])
    );
}

#[test]
fn get_reads_dotted_and_top_level_keys_from_every_layer() {
    let config = config("a: {b: 1}\ntop: x\n", &[("A__C", "2"), ("TOP", "y")]);
    assert_eq!(config.get::<u32>("a.b").unwrap(), Some(1));
    assert_eq!(config.get::<u32>("a.c").unwrap(), Some(2));
    assert_eq!(config.get::<String>("top").unwrap(), Some("y".to_owned()));
    assert_eq!(config.get::<String>("absent").unwrap(), None);
    assert_eq!(config.get_or("absent.too", 7_u16).unwrap(), 7);
    let map = config.get::<BTreeMap<String, u32>>("a").unwrap().unwrap();
    assert_eq!(map, BTreeMap::from([("b".into(), 1), ("c".into(), 2)]));
}

#[test]
fn a_default_does_not_hide_a_value_of_the_wrong_type() {
    let error = config("a: {b: x}", &[]).get_or("a.b", 7_u16).unwrap_err();
    assert!(error.to_string().starts_with("config.yaml:1:8: a.b: expected a whole number"));
}

#[test]
fn every_value_knows_its_origin() {
    let config = config("a:\n  b: 1\n", &[("A__C", "2")]);
    assert_eq!(config.origin("a.b").unwrap().to_string(), "config.yaml:2:6");
    assert_eq!(config.origin("a.c").unwrap().to_string(), "environment variable A__C");
    assert_eq!(config.origin("a.d"), None);
}

#[test]
fn a_dash_in_a_key_is_an_underscore_in_its_variable() {
    let config = config("a: {user-service: 1}", &[("A__USER_SERVICE", "2")]);
    assert_eq!(config.get::<u32>("a.user-service").unwrap(), Some(2));
}

#[test]
fn a_variable_in_lower_case_is_no_setting() {
    let variables = [("server__prot", "1"), ("server__port", "2")];
    assert_eq!(load::<ServerSettings>("", &variables).unwrap().port, 8080);
}

#[test]
fn layers_are_joined_at_every_depth() {
    let config = config("a: {b: {x: 1, y: 2}}", &[("A__B__Y", "3")]);
    let maps = config.get::<BTreeMap<String, BTreeMap<String, u32>>>("a").unwrap().unwrap();
    assert_eq!(maps["b"], BTreeMap::from([("x".into(), 1), ("y".into(), 3)]));
}
