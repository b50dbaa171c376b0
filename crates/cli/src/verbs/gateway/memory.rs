//! Whether what a manifest limits can be counted in the memory it gives.

use std::path::Path;

use regatta_gateway::RateLimit;
use regatta_manifest::Manifest;
use regatta_yaml::{Mark, Node, Value};

use super::convert;
use crate::failure::Failure;

/// Every limit that cannot be counted so, each with its line, as a start of the gateway would find.
pub(crate) fn problems(manifest: &Manifest, path: &Path) -> Result<Vec<String>, Failure> {
    let limits = &manifest.gateway.limits;
    let mut wrong = Vec::new();
    let mut check = |key: String, limit: RateLimit, place: Place| {
        if let Err(error) = limit.validate() {
            wrong.push((place, format!("{key}: {error}")));
        }
    };
    if let Some(limit) = convert::whole_limit(limits)? {
        check("gateway.limits".to_owned(), limit, Place::Whole);
    }
    for (index, route) in manifest.gateway.routes.iter().enumerate() {
        if let Some(own) = &route.rate_limit {
            let key = format!("rate_limit of route `{}`", route.path);
            check(key, convert::route_limit(own, limits)?, Place::Route(index));
        }
    }
    if wrong.is_empty() {
        return Ok(Vec::new());
    }
    // The manifest was read already; only its lines are looked for.
    let tree = regatta_yaml::parse(&std::fs::read_to_string(path)?).ok();
    let line = |(place, message): (Place, String)| {
        let mark = tree.as_ref().and_then(|tree| place.mark(tree)).unwrap_or(Mark::START);
        format!("{}:{mark}: {message}", path.display())
    };
    Ok(wrong.into_iter().map(line).collect())
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Whole,
    /// The route of this number.
    Route(usize),
}

impl Place {
    /// Where the memory is written, or else the rate that needs it.
    fn mark(self, tree: &Node) -> Option<Mark> {
        let limit = match self {
            Self::Whole => tree.at(&["gateway", "limits"])?,
            Self::Route(index) => match &tree.at(&["gateway", "routes"])?.value {
                Value::List(routes) => routes.get(index)?.at(&["rate_limit"])?,
                _ => return None,
            },
        };
        let written = ["max_bytes", "per_client"].into_iter().find_map(|key| limit.at(&[key]));
        Some(written.unwrap_or(limit).mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gateway: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regatta.yaml");
        let text =
            format!("name: a\nservices:\n  b: {{ run: {{ cargo: b }} }}\ngateway:\n{gateway}");
        std::fs::write(&path, text).unwrap();
        problems(&Manifest::load(&path).unwrap(), &path).unwrap()
    }

    #[test]
    fn a_limit_that_does_not_fit_is_told_with_its_line_and_with_what_fits() {
        let found_at = |gateway: &str, place: &str| {
            let found = found(gateway);
            assert!(found.len() == 1 && found[0].contains(place), "{found:?}");
            let (_, least) = found[0].rsplit_once("; use ").unwrap();
            least.trim_end_matches(" or more").to_owned()
        };
        let least =
            found_at("  limits: { per_client: 100000/min }\n", "yaml:5:25: gateway.limits: ");
        let obeyed = format!("  limits: {{ per_client: 100000/min, max_bytes: {least} }}\n");
        assert_eq!(found(&obeyed), Vec::<String>::new());
        found_at(&obeyed.replace(&least, "2MiB"), "yaml:5:48: ");
        let route = "  routes:\n  - { path: /b/**, rate_limit: 100000/min }\n";
        found_at(route, "yaml:6:32: rate_limit of route `/b/**`: ");
    }

    #[test]
    fn limits_that_fit_and_those_of_nobody_are_fine() {
        assert_eq!(found("  limits: { per_client: 60/min }\n"), Vec::<String>::new());
        let none = "  limits: { per_client: none, max_bytes: 1MiB }\n";
        assert_eq!(found(none), Vec::<String>::new());
    }
}
