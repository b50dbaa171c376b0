//! What counts as a failure of an instance, in words.

use regatta_core::Code;
use regatta_yaml::{Node, Problem, Scalar, nearest};

use super::scalars;

/// The conditions that are one word. What is known, and how it counts, is the gateway's to say
/// (`regatta_traffic::fault::Condition`); here a mistake is found with its line.
const WORDS: [&str; 8] =
    ["connect", "refused", "refused_stream", "timeout", "reset", "cut_off", "5xx", "gateway_error"];

/// Reads a list of conditions, each once.
pub(super) fn failure_on(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    scalars::items(node, name, problems, |node, problems| {
        scalars::scalar(node, name, problems, "a condition such as timeout or 5xx", condition)
    })
}

fn condition(scalar: &Scalar) -> Result<String, String> {
    let text = scalar.text.as_str();
    let is_status = || text.parse().is_ok_and(|status: u16| (400..600).contains(&status));
    let is_code = |name: &str| {
        let mut codes = (1..=16).filter_map(Code::from_grpc);
        codes.any(|code| code.name().eq_ignore_ascii_case(name))
    };
    let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = WORDS.contains(&text)
        || (is_number && is_status())
        || text.strip_prefix("grpc:").is_some_and(is_code);
    if is_known {
        return Ok(text.to_owned());
    }
    let meant = nearest(text, WORDS);
    let remedy = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`? "));
    Err(format!(
        "`{text}` is nothing that can count as a failure; {remedy}use {}, a status from 400 to 599 \
         such as 429, or a gRPC code such as grpc:UNAVAILABLE",
        WORDS.join(", ")
    ))
}
