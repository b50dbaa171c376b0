//! An immutable table of rules; the first that matches wins.

use crate::route::{InvalidMethod, InvalidPattern, Methods, Pattern};

/// Rules in the order they were written. Swap whole tables to change one.
#[derive(Clone, Debug)]
pub struct Table<T> {
    rules: Box<[Rule<T>]>,
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
        self.first(method, |pattern| pattern.matches(path))
    }

    /// Finds the first rule that holds for a path in either of two spellings, such as with and
    /// without a `/` at its end: a rule further down cannot overrule one that meant the other
    /// spelling.
    pub fn find_either(&self, method: &str, path: &str, other: &str) -> Found<'_, T> {
        self.first(method, |pattern| pattern.matches(path) || pattern.matches(other))
    }

    fn first(&self, method: &str, matches: impl Fn(&Pattern) -> bool) -> Found<'_, T> {
        let mut found = Found::Nothing;
        for rule in &self.rules {
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
        let matching = self.rules.iter().filter(|rule| rule.pattern.matches(path));
        let mut names: Vec<&str> = matching.flat_map(|rule| rule.methods.names()).collect();
        names.sort_unstable();
        names.dedup();
        names
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
        Table { rules: self.rules.into_boxed_slice() }
    }
}

#[cfg(test)]
mod tests {
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
}
