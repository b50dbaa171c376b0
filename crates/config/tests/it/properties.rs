//! What holds for every input.

use proptest::prelude::*;
use regatta_config::Origin;

use super::*;

settings! {
    /// One setting of each simple type, none secret.
    pub struct MixedSettings in "mixed" {
        /// A number.
        pub number: i64;
        /// A text.
        pub text: String;
        /// Texts.
        pub list: Vec<String>;
        /// Texts by name.
        pub map: BTreeMap<String, String>;
        /// A duration.
        pub duration: Duration;
        /// A size.
        pub size: ByteSize;
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_highest_layer_that_has_a_value_gives_it(
        file in proptest::option::of(1..1000_u16),
        alias in proptest::option::of(1..1000_u16),
        own in proptest::option::of(1..1000_u16),
    ) {
        let yaml = file.map(|port| format!("server: {{port: {port}}}")).unwrap_or_default();
        let variable = |name: &str, port: Option<u16>| port.map(|p| (name.to_owned(), p.to_string()));
        let variables = variable("PORT", alias).into_iter().chain(variable("SERVER__PORT", own));
        let config = Config::builder().yaml("c", &yaml).environment(variables).build().unwrap();
        let server: ServerSettings = config.load().unwrap();
        prop_assert_eq!(server.port, own.or(alias).or(file).unwrap_or(8080));
        let entries = config.entries::<ServerSettings>();
        let entry = entries.iter().find(|entry| entry.key == "server.port").unwrap();
        prop_assert_eq!(&entry.value, &server.port.to_string());
        let from_environment = matches!(entry.origin, Origin::Environment { .. });
        prop_assert_eq!(from_environment, own.or(alias).is_some());
        prop_assert_eq!(entry.origin == Origin::Default, own.or(alias).or(file).is_none());
    }

    #[test]
    fn what_entries_show_loads_as_the_same_settings(
        number: i64,
        text in "[ -~äöü]{0,20}",
        list in proptest::collection::vec("[ -~]{0,8}", 0..4),
        map in proptest::collection::btree_map("[a-z]{1,6}", "[ -~]{0,8}", 0..4),
        millis in 0..1_000_000_u64,
        size in 0..1_u64 << 50,
    ) {
        // What looks like a password in a URL, or a map's key like a secret, is hidden.
        prop_assume!(!text.contains("://") && !list.iter().chain(map.values()).any(|t| t.contains("://")));
        let list: Vec<_> = list.iter().map(|item| quoted(item)).collect();
        let map: Vec<_> = map.iter().map(|(key, item)| format!("k{key}: {}", quoted(item))).collect();
        let yaml = format!(
            "mixed:\n  number: {number}\n  text: {}\n  list: [{}]\n  map: {{{}}}\n  \
             duration: {millis}ms\n  size: {size}\n",
            quoted(&text), list.join(", "), map.join(", "),
        );
        let first = config(&yaml, &[]);
        let mut shown = String::new();
        for entry in first.entries::<MixedSettings>() {
            let key = entry.key.strip_prefix("mixed.").unwrap();
            match key.strip_prefix("map.") {
                // Each value of a map is an entry, one after the other.
                Some(inner) if shown.contains("  map:\n") => {
                    shown.push_str(&format!("    {inner}: {}\n", entry.value));
                }
                Some(inner) => shown.push_str(&format!("  map:\n    {inner}: {}\n", entry.value)),
                None => shown.push_str(&format!("  {key}: {}\n", entry.value)),
            }
        }
        let again: MixedSettings = config(&format!("mixed:\n{shown}"), &[]).load().unwrap();
        let first: MixedSettings = first.load().unwrap();
        prop_assert_eq!(format!("{first:?}"), format!("{again:?}"));
    }

    #[test]
    fn defaults_that_are_shown_load_as_the_defaults(_nothing in Just(())) {
        let entry = |e: &regatta_config::Entry| {
            format!("  {}: {}\n", e.key.strip_prefix("mixed.").unwrap(), e.value)
        };
        let shown: String = config("", &[]).entries::<MixedSettings>().iter().map(entry).collect();
        let again: MixedSettings = config(&format!("mixed:\n{shown}"), &[]).load().unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{:?}", MixedSettings::default()));
    }

    #[test]
    fn no_text_of_a_file_panics(yaml in any::<String>()) {
        try_everything(&yaml, &[]);
    }

    #[test]
    fn no_yaml_like_text_below_known_keys_panics(
        value in "[ab0-9:,\\-?&*!|>'\"%@`#{}\\[\\]~<\\n\\t .]{0,40}",
        key in "(server|auth|client|database)(: \\{|:\n  )(port|headers|names|secret|breaker|url)?: ",
    ) {
        try_everything(&format!("{key}{value}"), &[]);
    }

    #[test]
    fn no_environment_panics(
        names in proptest::collection::vec(
            "(SERVER|AUTH|CLIENT|DATABASE|X|)(__|\\.|_|)(PORT|HEADERS|NAMES|BREAKER|URL|)(__|)[A-Z_.]{0,6}",
            0..6,
        ),
        text in any::<String>(),
    ) {
        let variables: Vec<_> = names.iter().map(|name| (name.as_str(), text.as_str())).collect();
        try_everything("server: {port: 1}", &variables);
    }

    #[test]
    fn no_key_panics(key in any::<String>()) {
        let config = config("a: {b: [1]}", &[("A__C", "1")]);
        let _ = (config.get::<String>(&key), config.origin(&key));
    }

    #[test]
    fn no_url_shows_its_password(user in "[a-z]{0,5}", tail in "[a-z0-9/?=&.]{0,10}") {
        let shown = regatta_config::redact_urls(&format!("x://{user}:hunter2@host/{tail}"));
        prop_assert_eq!(shown, format!("x://{user}:***@host/{tail}"));
    }

    #[test]
    fn redaction_never_panics_and_leaves_texts_without_urls_alone(text in any::<String>()) {
        let shown = regatta_config::redact_urls(&text);
        if !text.contains("://") {
            prop_assert_eq!(shown, text);
        }
    }
}

/// Calls all that reads; the results are not looked at.
fn try_everything(yaml: &str, environment: &[(&str, &str)]) {
    let variables = environment.iter().map(|(name, text)| ((*name).into(), (*text).into()));
    let built = Config::builder().yaml("config.yaml", yaml).environment(variables).build();
    let Ok(config) = built else { return };
    let _ = config.load::<(All, MixedSettings)>().map_err(|problems| problems.to_string());
    let _ = config.load_open::<All>();
    let _ = (config.database_url(), config.redis_url());
    let _ = config.entries::<All>();
}
