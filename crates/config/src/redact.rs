//! Hides secrets in what is shown.

use crate::{Problem, ProblemKind};

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// Replaces the password of every URL in a text by `***`: `postgres://app:***@db/app`.
pub fn redact_urls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        // The authority; a password that holds one of the first three is not encoded as it should
        // be, so the last `@` before a space counts too.
        let word = after.find(|c: char| c.is_whitespace() || "`\"'".contains(c));
        let word = &after[..word.unwrap_or(after.len())];
        let authority = word.find(['/', '?', '#']).unwrap_or(word.len());
        let end = match word[..authority].rfind('@') {
            Some(end) => Some(end),
            None => word.rfind('@').filter(|_| word[..authority].contains(':')),
        };
        // A message may have cut the text before the `@`.
        let end = end.or_else(|| word.ends_with('…').then_some(word.len()));
        rest = after;
        if let Some(end) = end
            && let Some(colon) = word[..end].find(':')
        {
            shown.push_str(&word[..=colon]);
            shown.push_str(HIDDEN);
            rest = &after[end..];
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether a key that no schema describes most likely holds a secret.
pub fn is_secret_name(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_lowercase();
    ["password", "passwd", "secret", "token", "credential", "private_key", "api_key", "apikey"]
        .iter()
        .any(|word| last.contains(word))
}

/// A problem that shows no secret; `kind` is the type in words when the value as a whole is one.
pub(crate) fn problem(mut problem: Problem, kind: Option<&str>) -> Problem {
    problem.message = match (kind, problem.kind) {
        // Even the remedy may repeat the value: "write 12" for 012.
        (Some(kind), ProblemKind::WrongType) => {
            format!("expected {kind}; the value is not shown because it is secret")
        }
        // The remedy says what is allowed. It comes last, so no part of the value is behind it.
        (Some(_), ProblemKind::OutOfRange) => {
            let remedy = problem.message.rsplit_once("; ").map_or("", |(_, remedy)| remedy);
            format!("the value, not shown because it is secret, is not allowed; {remedy}")
        }
        _ => redact_urls(&problem.message),
    };
    problem
}
