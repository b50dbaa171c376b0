//! Reads the access file: tokens, users and their rules, in YAML.

use std::str::FromStr;
use std::sync::Arc;

use regatta_yaml::{Fields, Node, Problem, Value};

use super::policy::{Policy, User};
use super::rules::{Grant, Level, Resource, Rules};

const LEVELS: [(&str, Level); 3] =
    [("deny", Level::Deny), ("read", Level::Read), ("write", Level::Write)];

/// Reads the file's text; every problem that it has.
pub(crate) fn parse(text: &str) -> Result<Policy, Vec<Problem>> {
    let tree = regatta_yaml::parse(text)?;
    let mut problems = Vec::new();
    let mut policy = Policy::default();
    let mut fields = Fields::of(&tree, "", &mut problems);
    if let Some(node) = fields.take("anonymous") {
        let rules = rules(node, "anonymous", &mut problems);
        policy.anonymous = Arc::new(Grant { name: "anonymous".to_owned(), rules });
    }
    for (index, node) in list(fields.take("tokens"), "tokens", &mut problems).iter().enumerate() {
        let path = format!("tokens[{index}]");
        let mut fields = Fields::of(node, &path, &mut problems);
        let hash = parsed(&mut fields, "sha256", &mut problems);
        let grant = grant(&mut fields, &mut problems);
        fields.finish(&mut problems);
        if let Some(hash) = hash
            && policy.tokens.insert(hash, grant).is_some()
        {
            let message = format!("{path}: another token has the same hash; draw a new one");
            problems.push(Problem::new(node.mark, message));
        }
    }
    for (index, node) in list(fields.take("users"), "users", &mut problems).iter().enumerate() {
        let path = format!("users[{index}]");
        let mut fields = Fields::of(node, &path, &mut problems);
        let password = parsed(&mut fields, "password", &mut problems);
        let grant = grant(&mut fields, &mut problems);
        fields.finish(&mut problems);
        let Some(password) = password else { continue };
        let name = grant.name.clone();
        if policy.users.insert(name.clone(), User { password, grant }).is_some() {
            let message = format!("{path}: another user is called `{name}`; choose another name");
            problems.push(Problem::new(node.mark, message));
        }
    }
    fields.finish(&mut problems);
    if problems.is_empty() { Ok(policy) } else { Err(problems) }
}

/// A name, and either `management: true` or rules.
fn grant(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Arc<Grant> {
    let name = parsed::<String>(fields, "name", problems).unwrap_or_default();
    let management = fields.take("management").map(|node| {
        let read = node.scalar().and_then(|scalar| scalar.boolean().ok());
        read.unwrap_or_else(|| {
            let path = fields.name("management");
            let message = format!("{path}: expected true or false, found {}", node.found());
            problems.push(Problem::new(node.mark, message));
            false
        })
    });
    let written = fields.take("rules");
    let rules = match (management, written) {
        (Some(true), None) => Rules::management(),
        (Some(true), Some(node)) => {
            let path = fields.name("rules");
            let message = format!("{path}: `management: true` allows everything; leave out one");
            problems.push(Problem::new(node.mark, message));
            Rules::default()
        }
        (_, Some(node)) => rules(node, &fields.name("rules"), problems),
        (_, None) => Rules::default(),
    };
    Arc::new(Grant { name, rules })
}

fn rules(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Rules {
    let mut rules = Rules::default();
    let mut fields = Fields::of(node, path, problems);
    for (name, resource) in Resource::ALL {
        let Some(node) = fields.take(name) else { continue };
        let Value::Map(entries) = &node.value else {
            let message = format!(
                "{path}.{name}: expected a map of prefixes, found {}; write `{{ \"shop/\": read }}`",
                node.found()
            );
            problems.push(Problem::new(node.mark, message));
            continue;
        };
        for (prefix, node) in entries {
            let written = node.scalar().map(|scalar| scalar.text.as_str());
            match LEVELS.into_iter().find(|(word, _)| Some(*word) == written) {
                Some((_, level)) => rules.set(resource, prefix.text.clone().into(), level),
                None => {
                    let message = format!(
                        "{path}.{name}: {} is no policy; write read, write or deny",
                        node.found()
                    );
                    problems.push(Problem::new(node.mark, message));
                }
            }
        }
    }
    fields.finish(problems);
    rules
}

/// A text that has to be there.
fn parsed<T: FromStr<Err: std::fmt::Display>>(
    fields: &mut Fields<'_>,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let path = fields.name(key);
    let Some(node) = fields.take(key) else {
        problems.push(Problem::new(fields.mark(), format!("{path} is missing; write it")));
        return None;
    };
    let text = node.scalar().map_or("", |scalar| scalar.text.as_str());
    if text.is_empty() {
        let message = format!("{path}: expected a text, found {}; write one", node.found());
        problems.push(Problem::new(node.mark, message));
        return None;
    }
    // The text is not repeated: it may be a secret that somebody wrote where its hash belongs.
    let parsed = text.parse().map_err(|error| format!("{path}: {error}"));
    parsed.map_err(|message| problems.push(Problem::new(node.mark, message))).ok()
}

fn list<'a>(node: Option<&'a Node>, path: &str, problems: &mut Vec<Problem>) -> &'a [Node] {
    match node.map(|node| (node, &node.value)) {
        None => &[],
        Some((_, Value::List(items))) => items,
        Some((node, value)) => {
            let found = value.found();
            let message =
                format!("{path}: expected a list, found {found}; begin each with `- name:`");
            problems.push(Problem::new(node.mark, message));
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::secret::TokenHash;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_tokens_users_and_their_rules() {
        let text = format!(
            "anonymous:\n  service: {{ \"\": read }}\ntokens:\n- name: shop\n  sha256: {HASH}\n  \
             rules:\n    key: {{ \"shop/\": write, \"shop/secret/\": deny }}\nusers:\n- name: root\n  \
             password: pbkdf2-sha256:1000:AAAAAAAAAAAAAAAA:{}\n  management: true\n",
            "A".repeat(43) + "="
        );
        let policy = parse(&text).unwrap();
        let shop = &policy.tokens[&TokenHash::of("abc")];
        assert_eq!(shop.name, "shop");
        assert!(shop.rules.allows(Resource::Key, b"shop/a", Level::Write));
        assert!(!shop.rules.allows(Resource::Key, b"shop/secret/a", Level::Read));
        assert!(policy.anonymous.rules.allows(Resource::Service, b"any", Level::Read));
        assert!(policy.users["root"].grant.rules.is_management());
    }

    #[test]
    fn an_empty_file_lets_nobody_in() {
        assert_eq!(parse("").unwrap(), Policy::default());
    }

    #[test]
    fn says_what_is_wrong_where_and_what_to_write() {
        let of_token = |rest: &str| problems(&format!("tokens:\n- name: a\n  sha256: {rest}\n"));
        assert_eq!(
            of_token("ahoy"),
            ["3:11: tokens[0].sha256: it is no hash; make one with `regatta control hash`"]
        );
        let rules = format!("{HASH}\n  rules: {{ key: {{ a: all }}, keys: {{}} }}");
        assert_eq!(
            of_token(&rules),
            [
                "4:22: tokens[0].rules.key: `all` is no policy; write read, write or deny",
                "4:29: unknown key `tokens[0].rules.keys`; did you mean `key`?",
            ]
        );
        assert_eq!(
            problems("users: 1\n"),
            ["1:8: users: expected a list, found `1`; begin each with `- name:`"]
        );
        assert_eq!(problems("tokens:\n- sha256: a\n").len(), 2);
        let twice = format!("tokens:\n- name: a\n  sha256: {HASH}\n- name: b\n  sha256: {HASH}\n");
        assert_eq!(
            problems(&twice),
            ["4:3: tokens[1]: another token has the same hash; draw a new one"]
        );
        let both = format!("{HASH}\n  management: true\n  rules: {{}}");
        assert!(of_token(&both)[0].contains("leave out one"));
    }
}
