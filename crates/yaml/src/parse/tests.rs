//! What a document must be to be accepted.

use proptest::prelude::*;

use super::*;

fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn every_node_knows_its_line_and_column() {
    let tree = parse("# head\na:\n  b: [x, \"y\"]\n").unwrap();
    let list = tree.at(&["a", "b"]).unwrap();
    assert_eq!(list.mark, Mark { line: 3, column: 6 });
    let Value::List(items) = &list.value else { panic!("{list:?}") };
    assert_eq!(items[1].mark, Mark { line: 3, column: 10 });
    assert!(items[1].scalar().unwrap().quoted);
    assert!(!items[0].scalar().unwrap().quoted);
}

#[test]
fn a_scalar_keeps_its_text() {
    let tree = parse("a: no\nb: 012\nc: 1.10\nd: 1_000\ne: |\n  two\n  lines\n").unwrap();
    for (key, text) in [("a", "no"), ("b", "012"), ("c", "1.10"), ("d", "1_000")] {
        assert_eq!(tree.at(&[key]).unwrap().scalar().unwrap(), &Scalar::plain(text));
    }
    assert_eq!(tree.at(&["e"]).unwrap().scalar().unwrap().text, "two\nlines\n");
}

#[test]
fn nothing_is_null_and_quoted_null_is_text() {
    let tree = parse("a:\nb: ~\nc: null\nd: \"null\"\n").unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(tree.at(&[key]).unwrap().value, Value::Null);
    }
    assert_eq!(tree.at(&["d"]).unwrap().scalar().unwrap().text, "null");
    assert_eq!(parse("").unwrap().value, Value::Null);
    assert_eq!(parse("# only a comment\n").unwrap().value, Value::Null);
}

#[test]
fn every_duplicate_key_is_reported_with_its_first_line() {
    let found = problems("a: 1\nb: {x: 1, x: 2}\na: 3\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("2:11: key `x` occurs twice, first in line 2"), "{found:?}");
    assert!(found[1].starts_with("3:1: key `a` occurs twice, first in line 1"), "{found:?}");
}

#[test]
fn refuses_what_yaml_leaves_to_guessing() {
    assert!(problems("a: &x {k: 1}\nb:\n  <<: *x\n")[0].contains("merge keys"));
    assert!(problems("a: !env HOME\n")[0].contains("tag `!env` is not supported"));
    assert!(problems("a: !!int 3\n")[0].contains("not supported"));
    assert!(problems("a: 1\n---\nb: 2\n")[0].contains("second document"));
    assert!(problems("? [a, b]\n: 1\n")[0].contains("where a key belongs"));
    assert!(problems("a: &x [*x]\n")[0].contains("inside the value"));
}

#[test]
fn a_str_tag_makes_text() {
    let tree = parse("a: !!str 12\n").unwrap();
    assert!(tree.at(&["a"]).unwrap().scalar().unwrap().quoted);
}

#[test]
fn an_alias_repeats_its_anchor() {
    let tree = parse("a: &x {k: 1}\nb: *x\n").unwrap();
    assert_eq!(tree.at(&["b", "k"]).unwrap().scalar().unwrap().text, "1");
}

#[test]
fn a_syntax_error_names_its_line() {
    let found = problems("a: 1\nb: [1, 2\nc: 3\n");
    assert!(found[0].contains("not YAML"), "{found:?}");
    assert!(found[0].starts_with(['2', '3', '4']), "{found:?}");
}

#[test]
fn a_billion_laughs_end_at_the_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let last = level - 1;
        let uses = format!("*a{last}, ").repeat(9);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", uses.trim_end_matches(", ")));
    }
    assert!(problems(&text)[0].contains("over 100000 values"));
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let found = problems(&"[".repeat(100_000));
    assert!(found[0].contains("not YAML"), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_yaml_characters_panics(text in "[ab:,\\-?&*!|>'\"%@`#{}\\[\\]~<\\n\\t 01.]{0,80}") {
        if let Ok(tree) = parse(&text) {
            prop_assert!(tree.mark.line >= 1);
        }
    }
}
