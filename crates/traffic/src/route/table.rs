//! An immutable table of rules; the first that matches wins.

use std::collections::HashMap;
use std::iter::from_fn;

use crate::route::{InvalidMethod, InvalidPattern, Methods, Pattern};

/// Rules in the order they were written. Swap whole tables to change one.
///
/// A request is held against those rules only that are for its path's first segment, or for any: a
/// rule more costs the others nothing, as long as it is for another service.
#[derive(Clone, Debug)]
pub struct Table<T> {
    rules: Box<[Rule<T>]>,
    /// The numbers of the rules for one first segment, ascending.
    by_segment: HashMap<Box<str>, Vec<u32>>,
    /// Those for any first segment, ascending.
    for_any: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Rule<T> {
    methods: Methods,
    pattern: Pattern,
    value: T,
}

/// What a table says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a, T> {
    /// The first rule that matches: its pattern, the route's name, and its value.
    Rule(&'a Pattern, &'a T),
    /// Rules match the path, but none the method: answer 405.
    OtherMethod,
    /// No rule matches: answer 404, or go by the default.
    Nothing,
}

impl<T> Table<T> {
    /// Starts an empty table.
    pub fn builder() -> Builder<T> {
        Builder { rules: Vec::new() }
    }

    /// Finds the first rule for a method and a [`crate::route::canonical`] path.
    pub fn find(&self, method: &str, path: &str) -> Found<'_, T> {
        Self::first(self.rules_for(path), method, |pattern| pattern.matches(path))
    }

    /// Finds the first rule that holds for a path in either of two spellings, such as with and
    /// without a `/` at its end: a rule further down cannot overrule one that meant the other
    /// spelling.
    pub fn find_either(&self, method: &str, path: &str, other: &str) -> Found<'_, T> {
        let matches = |pattern: &Pattern| pattern.matches(path) || pattern.matches(other);
        if first_segment(path) == first_segment(other) {
            Self::first(self.rules_for(path), method, matches)
        } else {
            Self::first(self.rules.iter(), method, matches)
        }
    }

    fn first<'a>(
        rules: impl Iterator<Item = &'a Rule<T>>,
        method: &str,
        matches: impl Fn(&Pattern) -> bool,
    ) -> Found<'a, T> {
        let mut found = Found::Nothing;
        for rule in rules {
            if !matches(&rule.pattern) {
                continue;
            }
            if rule.methods.contains(method) {
                return Found::Rule(&rule.pattern, &rule.value);
            }
            found = Found::OtherMethod;
        }
        found
    }

    /// The methods for which some rule matches the path, as in `Allow`; each once.
    pub fn allowed(&self, path: &str) -> Vec<&str> {
        let matching = self.rules_for(path).filter(|rule| rule.pattern.matches(path));
        let mut names: Vec<&str> = matching.flat_map(|rule| rule.methods.names()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The rules that may match a path, in their order.
    fn rules_for(&self, path: &str) -> impl Iterator<Item = &Rule<T>> {
        let own = first_segment(path).and_then(|segment| self.by_segment.get(segment));
        let mut own = own.map_or(&[][..], Vec::as_slice).iter().peekable();
        let mut any = self.for_any.iter().peekable();
        from_fn(move || match (own.peek(), any.peek()) {
            (Some(one), Some(other)) if one < other => own.next(),
            (_, Some(_)) => any.next(),
            (_, None) => own.next(),
        })
        .map(|number| &self.rules[*number as usize])
    }

    /// The number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Collects the rules of a [`Table`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T> {
    rules: Vec<Rule<T>>,
}

/// A rule cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// Its path pattern is wrong.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// One of its methods is wrong.
    #[error(transparent)]
    Method(#[from] InvalidMethod),
}

impl<T> Builder<T> {
    /// Adds a rule behind the others.
    pub fn rule(mut self, methods: Methods, pattern: Pattern, value: T) -> Self {
        self.rules.push(Rule { methods, pattern, value });
        self
    }

    /// Adds a rule behind the others, from texts; no method means all.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] says which part is wrong.
    pub fn try_rule<M: AsRef<str>>(
        self,
        methods: impl IntoIterator<Item = M>,
        pattern: &str,
        value: T,
    ) -> Result<Self, InvalidRule> {
        let (methods, pattern) = (Methods::try_new(methods)?, Pattern::try_new(pattern)?);
        Ok(self.rule(methods, pattern, value))
    }

    /// Makes the table.
    pub fn build(self) -> Table<T> {
        let mut by_segment: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut for_any = Vec::new();
        for (number, rule) in (0..).zip(&self.rules) {
            match rule.pattern.first_segment() {
                Some(segment) => by_segment.entry(segment.into()).or_default().push(number),
                None => for_any.push(number),
            }
        }
        Table { rules: self.rules.into_boxed_slice(), by_segment, for_any }
    }
}

fn first_segment(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: [&str; 1] = ["GET"];
    const ANY: [&str; 0] = [];

    fn table() -> Table<&'static str> {
        Table::builder()
            .try_rule(ANY, "/user-service/admin/**", "admin")
            .and_then(|builder| builder.try_rule(GET, "/user-service/users/{id}", "read"))
            .and_then(|builder| builder.try_rule(ANY, "/user-service/**", "rest"))
            .and_then(|builder| builder.try_rule(GET, "/health", "health"))
            .unwrap()
            .build()
    }

    fn found(method: &str, path: &str) -> &'static str {
        match table().find(method, path) {
            Found::Rule(_, value) => value,
            Found::OtherMethod => "other method",
            Found::Nothing => "nothing",
        }
    }

    #[test]
    fn the_first_match_wins() {
        assert_eq!(found("GET", "/user-service/admin/users"), "admin");
        assert_eq!(found("GET", "/user-service/users/1"), "read");
        assert_eq!(found("PUT", "/user-service/users/1"), "rest");
        assert_eq!(found("GET", "/user-service/users"), "rest");
    }

    #[test]
    fn another_method_is_not_nothing() {
        assert_eq!(found("POST", "/health"), "other method");
        assert_eq!(found("HEAD", "/health"), "health");
        assert_eq!(found("GET", "/order-service"), "nothing");
        assert_eq!(table().allowed("/health"), ["GET"]);
    }

    #[test]
    fn says_which_rule_it_was() {
        let table = table();
        let Found::Rule(pattern, _) = table.find("GET", "/user-service/users/1") else {
            panic!("a rule matches")
        };
        assert_eq!(pattern.as_str(), "/user-service/users/{id}");
    }

    #[test]
    fn a_slash_at_the_end_does_not_slip_past_a_rule_to_a_weaker_one() {
        let table = Table::builder()
            .try_rule(["GET"], "/svc/admin/users", "admin")
            .unwrap()
            .try_rule(["GET"], "/svc/**", "user")
            .unwrap()
            .build();
        let found = table.find_either("GET", "/svc/admin/users/", "/svc/admin/users");
        let Found::Rule(_, rule) = found else { panic!("a rule matches") };
        assert_eq!(*rule, "admin");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// Few words, so that rules overlap in every way.
        #[test]
        fn finds_what_a_look_at_every_rule_finds(
            rules in prop::collection::vec(("(/[ab]|/\\{x\\}){0,3}(/\\*\\*|/[ab]|/)", 0_usize..3), 0..12),
            path in "(/[abc]){0,3}/?", other in "(/[abc]){0,3}/?", method in "GET|POST|HEAD",
        ) {
            let methods = [&[][..], &["GET"], &["POST"]];
            let builder = rules.iter().enumerate().fold(Table::builder(), |builder, (at, rule)| {
                builder.try_rule(methods[rule.1], &rule.0, at).unwrap()
            });
            let table = builder.build();
            let (one, two) = (path.as_str(), other.as_str());
            let every = || table.rules.iter();
            let expected = Table::first(every(), &method, |pattern| pattern.matches(one));
            prop_assert_eq!(table.find(&method, one), expected);
            let either = |pattern: &Pattern| pattern.matches(one) || pattern.matches(two);
            let expected = Table::first(every(), &method, either);
            prop_assert_eq!(table.find_either(&method, one, two), expected);
            let matching = every().filter(|rule| rule.pattern.matches(one));
            let mut names: Vec<_> = matching.flat_map(|rule| rule.methods.names()).collect();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(table.allowed(one), names);
        }
    }
}
