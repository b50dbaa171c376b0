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
pub(crate) fn is_secret_name(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_lowercase();
    ["password", "passwd", "secret", "token", "credential", "private_key", "api_key", "apikey"]
        .iter()
        .any(|word| last.contains(word))
}

/// A problem that shows no secret.
pub(crate) fn problem(mut problem: Problem, secret: bool) -> Problem {
    problem.message = match (secret, problem.kind) {
        // The remedy stays: it tells what is allowed and not what was found. What is found cannot
        // end it, for `found` comes before the `;` and its text is behind us with it.
        (true, ProblemKind::WrongType | ProblemKind::OutOfRange) => {
            let remedy = problem.message.rsplit_once("; ").map_or("", |(_, remedy)| remedy);
            format!("the value, not shown because it is secret, is not allowed; {remedy}")
        }
        _ => redact_urls(&problem.message),
    };
    problem
}
