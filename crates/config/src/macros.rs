//! What the macros call; no part of the promised interface.

use std::fmt::Display;
use std::str::FromStr;

use regatta_yaml::{nearest, quote};

use crate::setting::read_scalar;
use crate::value::Value;
use crate::{Problem, Setting};

/// `json, text or none`.
pub fn words(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => (*word).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Reads one of several words.
///
/// # Errors
///
/// The value is none of them.
pub fn choice<T: Setting + Copy>(
    value: &Value,
    choices: &[(&'static str, T)],
) -> Result<T, Vec<Problem>> {
    read_scalar(value, "", |scalar| {
        let found = choices.iter().find(|(word, _)| *word == scalar.text);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let remedy = match nearest(&scalar.text, choices.iter().map(|(word, _)| *word)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write one of them".to_owned(),
            };
            scalar.not(&T::kind(), &remedy)
        })
    })
}

/// Reads a type from its text.
///
/// # Errors
///
/// The text is none of the type.
pub fn from_text<T: Setting + FromStr<Err: Display>>(
    value: &Value,
    remedy: &str,
) -> Result<T, Vec<Problem>> {
    read_scalar(value, "", |scalar| scalar.text.parse().map_err(|_| scalar.not(&T::kind(), remedy)))
}

/// A text as YAML.
pub fn quoted(text: &str) -> String {
    quote(text)
}
