//! Prints the effective settings in place of running, for `regatta config show`.

use regatta_config::{Entry, Problems};
use serde_json::json;

/// Set to `json`, a service prints its settings and exits.
const VARIABLE: &str = "REGATTA_CONFIG_SHOW";

/// Whether the environment asks for the settings and not for the service.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "json")
}

/// Prints the settings and exits 0; or the problems, and exits 2. A service must not go on: its
/// caller wants no port taken and no database touched.
pub(crate) fn and_exit(loaded: Result<Vec<Entry>, Problems>) -> ! {
    match loaded {
        Ok(entries) => {
            println!("{}", to_json(&entries));
            std::process::exit(0)
        }
        Err(problems) => {
            eprintln!("{problems}");
            std::process::exit(2)
        }
    }
}

/// The entries as JSON: key, value, origin.
pub(crate) fn to_json(entries: &[Entry]) -> serde_json::Value {
    let entry = |entry: &Entry| json!({ "key": entry.key, "value": entry.value, "origin": entry.origin.to_string() });
    entries.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use regatta_config::Config;

    use super::*;
    use crate::settings::Groups;

    #[test]
    fn shows_values_with_their_origins_and_no_secret() {
        let variables = [("PORT", "9000"), ("AUTH__SECRET", "do not show this to anybody")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::builder().environment(variables).build().unwrap();
        let shown = to_json(&config.entries::<Groups>());
        let entry = |key: &str| {
            shown.as_array().unwrap().iter().find(|entry| entry["key"] == key).unwrap().clone()
        };
        assert_eq!(entry("server.port")["value"], "9000");
        assert!(entry("server.port")["origin"].as_str().unwrap().contains("PORT"));
        assert_eq!(entry("auth.secret")["value"], "***");
        assert!(!shown.to_string().contains("do not show"));
        assert_eq!(entry("server.max_body_bytes")["value"], "2MiB");
    }
}
