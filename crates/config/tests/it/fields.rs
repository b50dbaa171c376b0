//! Maps of settings inside a setting.

use std::time::Duration;

use regatta_config::{Field, Fields, Problem, Setting, Value};

use super::*;

/// As a service's own policies: what is not written is none.
#[derive(Debug, Default, PartialEq)]
struct Policy {
    timeout: Option<Duration>,
    tries: Option<u32>,
}

impl Setting for Policy {
    fn kind() -> String {
        "a map of policies".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut fields = Fields::of::<Self>(value)?;
        let tries = Field::new("", "tries", &[], 0_u32).range(1..=10);
        let policy = Self {
            timeout: fields.read("timeout", Field::new("", "timeout", &[], Duration::ZERO)),
            tries: fields.read("tries", tries),
        };
        fields.finish().map(|()| policy)
    }

    fn write(&self) -> Option<String> {
        None
    }
}

fn read(yaml: &str) -> Result<BTreeMap<String, Policy>, String> {
    let policies = config(yaml, &[]).get("policies").map_err(|problems| problems.to_string());
    policies.map(Option::unwrap_or_default)
}

#[test]
fn what_is_not_written_is_none() {
    let policies = read("policies: {a: {tries: 2}, b: {}, c: }").unwrap();
    assert_eq!(policies["a"], Policy { timeout: None, tries: Some(2) });
    assert_eq!(policies["b"], Policy::default());
    assert_eq!(policies["c"], Policy::default());
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let yaml = "policies:\n  a:\n    tmeout: 1s\n    tries: 99\n    timeout: 3\n  b: 7\n";
    let problems = read(yaml).unwrap_err();
    for part in [
        "config.yaml:3:5: policies.a.tmeout: unknown key; did you mean `timeout`?",
        "config.yaml:4:12: policies.a.tries: `99` is not allowed; use 1 to 10",
        "config.yaml:5:14: policies.a.timeout",
        "config.yaml:6:6: policies.b: expected a map of policies",
    ] {
        assert!(problems.contains(part), "{part} in\n{problems}");
    }
}

#[test]
fn a_secret_inside_is_not_shown() {
    #[derive(Debug)]
    struct Account;
    impl Setting for Account {
        fn kind() -> String {
            "an account".to_owned()
        }
        fn read(value: &Value) -> Result<Self, Vec<Problem>> {
            let mut fields = Fields::of::<Self>(value)?;
            fields.read("pin", Field::new("", "pin", &[], 0_u32).secret());
            fields.finish().map(|()| Self)
        }
        fn write(&self) -> Option<String> {
            None
        }
    }
    let problems = config("account: {pin: hunter2}", &[]).get::<Account>("account").unwrap_err();
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}
