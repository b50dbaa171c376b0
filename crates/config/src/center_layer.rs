//! The settings of a config center as a layer above all others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use regatta_yaml::Scalar;

use crate::center::{Item, Layout, Place};
use crate::release::Rollout;
use crate::value::{Data, Entry, Value};
use crate::{Origin, Problem};

/// The settings that a config center has for one instance; see [`crate::Config::with_center`].
///
/// Four layers, each above the last: those of all services, those of the service, the changes of a
/// release if it has reached the instance, and those of the instance alone. So what a release shows
/// on its way is what stands at its end, when its changes become the service's. A value is written as in
/// an environment variable: `a,b` or `[a, b]` for a list.
#[derive(Clone, Default)]
pub struct CenterLayer {
    trees: Vec<Tree>,
    release: Option<String>,
    rollout: Option<String>,
    /// What may not come from there, and is left out.
    problems: Vec<Problem>,
}

/// One of its layers.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) value: Value,
    /// Whether it is for all services, and so has keys that only others know.
    pub(crate) is_shared: bool,
}

type Settings = BTreeMap<String, Item>;

impl CenterLayer {
    /// Sorts out what is for this instance. `shared` and `own` are what the center has under
    /// [`Layout::shared`] and [`Layout::service`].
    ///
    /// Settings whose key is one of `withheld`, or begins with one that ends with a dot, are left out,
    /// and so is a release that cannot be read. A configuration with this layer does not load then:
    /// [`crate::Config::load`] names them with all that is wrong besides.
    pub fn new<'a>(
        layout: &Layout,
        service: &str,
        instance: Option<&str>,
        shared: impl IntoIterator<Item = &'a Item>,
        own: impl IntoIterator<Item = &'a Item>,
        withheld: &[&str],
    ) -> Self {
        let mut of_all = Settings::new();
        for item in shared {
            if let Some(Place::Setting { key }) = layout.place(Layout::SHARED, &item.key) {
                of_all.insert(key.to_owned(), item.clone());
            }
        }
        let (mut of_service, mut of_instance) = (Settings::new(), Settings::new());
        let mut rollout = None;
        for item in own {
            match layout.place(service, &item.key) {
                Some(Place::Setting { key }) => {
                    drop(of_service.insert(key.to_owned(), item.clone()));
                }
                Some(Place::OfInstance { instance: of, key }) if Some(of) == instance => {
                    drop(of_instance.insert(key.to_owned(), item.clone()));
                }
                Some(Place::Rollout) => rollout = Some(item),
                Some(Place::OfInstance { .. } | Place::Other) | None => {}
            }
        }
        let mut layer = Self::default();
        let mut of_release = Settings::new();
        if let Some(item) = rollout
            && let Some(rollout) = layer.read(item)
        {
            layer.rollout = Some(rollout.release.clone());
            if rollout.reaches(instance) {
                layer.release = Some(rollout.release);
                for (key, value) in rollout.changes {
                    match value {
                        Some(value) => {
                            let changed = Item::new(&item.key, &value, item.revision);
                            of_release.insert(key, changed);
                        }
                        None => drop(of_service.remove(&key)),
                    }
                }
            }
        }
        for (is_shared, mut settings) in
            [(true, of_all), (false, of_service), (false, of_release), (false, of_instance)]
        {
            for (key, item) in settings.extract_if(.., |key, _| is_withheld(key, withheld)) {
                let message = "is of the process and not of the config center; delete it there";
                layer.problems.push(problem(&key, &item, message));
            }
            if !settings.is_empty() {
                layer.trees.push(Tree { value: tree(&settings), is_shared });
            }
        }
        layer
    }

    /// The changes of a release; a problem where they are none.
    fn read(&mut self, item: &Item) -> Option<Rollout> {
        let rollout = Rollout::parse(&item.value);
        if rollout.is_none() {
            let message = "is not the changes of a release; roll the release back";
            self.problems.push(problem(&item.key, item, message));
        }
        rollout
    }

    /// The release whose changes are among these settings.
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// The release of this service that is under way, whether it has reached the instance or not.
    pub fn rollout(&self) -> Option<&str> {
        self.rollout.as_deref()
    }

    /// Whether there is no setting at all.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    pub(crate) fn trees(&self) -> &[Tree] {
        &self.trees
    }

    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Debug for CenterLayer {
    /// Shows no value; it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CenterLayer").field("release", &self.release).finish_non_exhaustive()
    }
}

fn is_withheld(key: &str, withheld: &[&str]) -> bool {
    withheld.iter().any(|name| match name.strip_suffix('.') {
        Some(group) => key == group || key.starts_with(*name),
        None => key == *name,
    })
}

fn problem(key: &str, item: &Item, message: &str) -> Problem {
    Problem::source(Some(origin(item)), message).under(key)
}

fn origin(item: &Item) -> Origin {
    Origin::Center { key: Arc::clone(&item.key), revision: item.revision }
}

/// Dotted keys as maps in maps.
fn tree(settings: &Settings) -> Value {
    let mut tree: Option<Value> = None;
    for (key, item) in settings {
        let leaf = Value { origin: origin(item), data: Data::Text(Scalar::plain(&*item.value)) };
        let value = key.rsplit('.').fold(leaf, |value, part| Value {
            origin: origin(item),
            data: Data::Map(vec![Entry { key: part.to_owned(), origin: origin(item), value }]),
        });
        match &mut tree {
            Some(tree) => tree.overlay(value),
            None => tree = Some(value),
        }
    }
    tree.unwrap_or(Value { origin: Origin::Default, data: Data::Map(Vec::new()) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Config;

    crate::settings! {
        /// How payments are judged.
        struct PaymentSettings in "payment" {
            /// Above it payments are declined.
            limit: u32 = 1000, range 1..=5000;
            /// How long the bank may take.
            timeout: Duration = Duration::from_secs(5);
            /// Who is trusted.
            trusted: Vec<String>;
        }
    }

    fn layer(instance: &str, items: &[(&str, &str)]) -> CenterLayer {
        let items: Vec<_> = items
            .iter()
            .zip(1..)
            .map(|((k, v), r)| Item::new(&format!("/config/{k}"), v, r))
            .collect();
        let is_shared = |item: &&Item| item.key.starts_with("/config/_shared/");
        let (shared, own): (Vec<_>, Vec<_>) = items.iter().partition(is_shared);
        let withheld = ["config_center.", "server.port"];
        CenterLayer::new(&Layout::default(), "pay", Some(instance), shared, own, &withheld)
    }

    fn with(layer: CenterLayer) -> Config {
        let config = Config::builder()
            .yaml("c.yaml", "payment: {limit: 1, timeout: 1s}")
            .environment([("PAYMENT__LIMIT".to_owned(), "2".to_owned())]);
        config.build().unwrap().with_center(layer)
    }

    #[test]
    fn the_center_lies_above_environment_and_file_and_its_parts_above_one_another() {
        let shared = ("_shared/payment.limit", "3");
        let own = ("pay/payment.limit", "4");
        let mine = ("pay/_instances/pay-1/payment.limit", "5");
        let limit = |items: &[_]| {
            let config = with(layer("pay-1", items));
            let settings: PaymentSettings = config.load().unwrap();
            (settings.limit, config.origin("payment.limit").unwrap().to_string())
        };
        assert_eq!(limit(&[]), (2, "environment variable PAYMENT__LIMIT".to_owned()));
        let origin =
            |key: &str, revision| format!("config center /config/{key}, revision {revision}");
        assert_eq!(limit(&[shared]), (3, origin(shared.0, 1)));
        assert_eq!(limit(&[shared, own]), (4, origin(own.0, 2)));
        assert_eq!(limit(&[shared, own, mine]), (5, origin(mine.0, 3)));
        let others = ("pay/_instances/pay-2/payment.limit", "6");
        assert_eq!(limit(&[others]).0, 2, "the settings of another instance");
    }

    #[test]
    fn a_list_is_written_as_in_a_variable() {
        let config = with(layer("pay-1", &[("pay/payment.trusted", "a,b")]));
        assert_eq!(config.load::<PaymentSettings>().unwrap().trusted, ["a", "b"]);
    }

    #[test]
    fn a_wrong_value_is_a_problem_with_its_key_and_revision() {
        for (value, word) in [("many", "whole number"), ("9000", "1 to 5000")] {
            let config = with(layer("pay-1", &[("pay/payment.limit", value)]));
            let problem = config.load::<PaymentSettings>().unwrap_err().to_string();
            let place = "config center /config/pay/payment.limit, revision 1: payment.limit: ";
            assert!(problem.starts_with(place) && problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn a_misspelt_key_is_refused_and_one_of_another_service_is_not() {
        let config = with(layer("pay-1", &[("pay/payment.limt", "1")]));
        let problem = config.load::<PaymentSettings>().unwrap_err().to_string();
        assert!(problem.contains("did you mean `payment.limit`?"), "{problem}");
        let config = with(layer("pay-1", &[("_shared/orders.limit", "1")]));
        assert!(config.load::<PaymentSettings>().is_ok());
        let config = with(layer("pay-1", &[("_shared/payment.limt", "1")]));
        assert!(config.load::<PaymentSettings>().is_err());
    }

    #[test]
    fn what_is_of_the_process_cannot_come_from_the_center() {
        for key in ["pay/server.port", "pay/config_center.url", "_shared/config_center"] {
            let config = with(layer("pay-1", &[(key, "1")]));
            let problem = config.load::<PaymentSettings>().unwrap_err().to_string();
            assert!(problem.contains("is of the process"), "{key}: {problem}");
            assert_eq!(config.get::<String>("server.port"), Ok(None), "it is left out");
        }
        assert!(layer("pay-1", &[("pay/server.porter", "1")]).problems().is_empty());
    }

    #[test]
    fn all_that_is_wrong_in_the_center_is_named_at_once() {
        let wrong = [
            ("_shared/config_center.url", "none"),
            ("pay/server.port", "9"),
            ("pay/payment.limit", "0"),
            ("pay/payment.timeout", ""),
            ("pay/payment.a b", "x"),
            ("pay/_rollout", "?"),
        ];
        let said = with(layer("pay-1", &wrong)).load::<PaymentSettings>().unwrap_err();
        let said = said.to_string();
        for (key, _) in wrong {
            assert!(said.contains(&format!("config center /config/{key}, ")), "{key}: {said}");
        }
        assert_eq!(said.lines().count(), wrong.len(), "{said}");
    }

    #[test]
    fn a_release_reaches_the_instances_it_names() {
        let rollout = r#"{"release": "r1", "changes": {"payment.limit": "7", "payment.timeout": null},
            "instances": ["pay-1"]}"#;
        let items =
            [("pay/payment.limit", "4"), ("pay/payment.timeout", "9s"), ("pay/_rollout", rollout)];
        let reached = layer("pay-1", &items);
        assert_eq!((reached.release(), reached.rollout()), (Some("r1"), Some("r1")));
        let config = with(reached);
        let settings: PaymentSettings = config.load().unwrap();
        assert_eq!((settings.limit, settings.timeout), (7, Duration::from_secs(1)));
        let origin = config.origin("payment.limit").unwrap().to_string();
        assert_eq!(origin, "config center /config/pay/_rollout, revision 3");

        let beside = layer("pay-2", &items);
        assert_eq!((beside.release(), beside.rollout()), (None, Some("r1")));
        let settings: PaymentSettings = with(beside).load().unwrap();
        assert_eq!((settings.limit, settings.timeout), (4, Duration::from_secs(9)));
        let unreadable = layer("pay-1", &[("pay/_rollout", "?")]);
        assert_eq!((unreadable.problems().len(), unreadable.rollout()), (1, None));
    }

    #[test]
    fn what_is_for_an_instance_alone_stays_during_a_release_as_it_does_after_it() {
        let rollout = r#"{"release": "r1", "changes": {"payment.limit": "7", "payment.timeout": null},
            "instances": null}"#;
        let own = [
            ("pay/payment.timeout", "9s"),
            ("pay/_instances/pay-1/payment.limit", "5"),
            ("pay/_instances/pay-1/payment.timeout", "8s"),
        ];
        let settings = |more: &[(&str, &str)]| {
            let layer = layer("pay-1", &[&own, more].concat());
            let settings: PaymentSettings = with(layer).load().unwrap();
            (settings.limit, settings.timeout)
        };
        let during = settings(&[("pay/_rollout", rollout)]);
        assert_eq!(during, (5, Duration::from_secs(8)));
        assert_eq!(during, settings(&[("pay/payment.limit", "7")]));
    }

    #[test]
    fn a_file_that_is_read_again_stays_below_the_center() {
        let config = with(layer("pay-1", &[("pay/payment.limit", "4")]));
        let again = config.reread().unwrap();
        assert_eq!(again.load::<PaymentSettings>().unwrap().limit, 4);
        let without = again.with_center(CenterLayer::default());
        assert_eq!(without.load::<PaymentSettings>().unwrap().limit, 2);
    }
}
