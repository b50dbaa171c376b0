//! Single values and lists of them, with their problems.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use regatta_yaml::{
    Node, NotThat, Problem, Scalar, Value, format_bytes, nearest, parse_bytes, parse_duration,
};

/// Reads a scalar; anything else, and a scalar that is refused, is a problem.
pub(super) fn scalar<T, E: Display>(
    node: &Node,
    name: &str,
    problems: &mut Vec<Problem>,
    expected: &str,
    read: impl FnOnce(&Scalar) -> Result<T, E>,
) -> Option<T> {
    let message = match node.scalar().map(read) {
        Some(Ok(value)) => return Some(value),
        Some(Err(error)) => format!("{name}: {error}"),
        None => format!("{name}: expected {expected}, found {}; write {expected}", node.found()),
    };
    problems.push(Problem::new(node.mark, message));
    None
}

/// A text that is not empty.
pub(super) fn text(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    scalar(node, name, problems, "a text", |scalar| match scalar.text.as_str() {
        "" => Err("expected a text, found none; write one"),
        text => Ok(text.to_owned()),
    })
}

pub(super) fn boolean(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<bool> {
    scalar(node, name, problems, "true or false", Scalar::boolean)
}

/// A whole number in a range.
pub(super) fn number<T: TryFrom<i128>>(
    node: &Node,
    name: &str,
    (least, most): (i128, i128),
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let expected = format!("a whole number from {least} to {most}");
    scalar(node, name, problems, &expected, |scalar| {
        let fits = |number: &i128| (least..=most).contains(number);
        let number =
            scalar.integer().map_err(|error| NotThat { expected: expected.clone(), ..error })?;
        let number = Some(number).filter(fits).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| scalar.not(&expected, &format!("use {least} to {most}")))
    })
}

/// A duration of more than 0.
pub(super) fn duration(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<Duration> {
    scalar(node, name, problems, "a duration such as 30s", |scalar| {
        match parse_duration(&scalar.text) {
            Ok(Duration::ZERO) => Err(format!("`{}` is no time; use 1ms or more", scalar.text)),
            Ok(duration) => Ok(duration),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// A size in a range.
pub(super) fn bytes(
    node: &Node,
    name: &str,
    (least, most): (u64, u64),
    problems: &mut Vec<Problem>,
) -> Option<u64> {
    scalar(node, name, problems, "a size such as 1MiB", |scalar| match parse_bytes(&scalar.text) {
        Ok(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
        Ok(_) => Err(format!(
            "`{}` is not allowed; use {} to {}",
            scalar.text,
            format_bytes(least),
            format_bytes(most)
        )),
        Err(error) => Err(error.to_string()),
    })
}

pub(super) fn address(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<SocketAddr> {
    scalar(node, name, problems, "an address such as 127.0.0.1:8080", |scalar| {
        scalar.text.parse().map_err(|_| {
            scalar.not("an IP address and a port", "write both, such as 127.0.0.1:8080")
        })
    })
}

pub(super) fn ip(node: &Node, name: &str, problems: &mut Vec<Problem>) -> Option<IpAddr> {
    scalar(node, name, problems, "an IP address such as 10.0.0.7", |scalar| {
        scalar
            .text
            .parse()
            .map_err(|_| scalar.not("an IP address", "write one without a port, such as 10.0.0.7"))
    })
}

/// A type that has a text; its error says the remedy.
pub(super) fn parsed<T: FromStr<Err: Display>>(
    node: &Node,
    name: &str,
    expected: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    scalar(node, name, problems, expected, |scalar| scalar.text.parse::<T>())
}

/// One of several words.
pub(super) fn choice<T: Copy>(
    node: &Node,
    name: &str,
    choices: &[(&str, T)],
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
    let expected = words.join(" or ");
    scalar(node, name, problems, &expected, |scalar| {
        let found = choices.iter().find(|(word, _)| *word == scalar.text);
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let meant = nearest(&scalar.text, words.iter().copied());
            let remedy = meant.map_or_else(
                || "write one of them".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            scalar.not(&expected, &remedy)
        })
    })
}

/// The items of a list; anything else is a problem.
pub(super) fn list<'a>(node: &'a Node, name: &str, problems: &mut Vec<Problem>) -> &'a [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        other => {
            let message = format!("{name}: expected a list, found {}; write [a, b]", other.found());
            problems.push(Problem::new(node.mark, message));
            &[]
        }
    }
}

/// A list of texts, each read and checked by `read`; duplicates are problems.
pub(super) fn items<T: PartialEq>(
    node: &Node,
    name: &str,
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&Node, &mut Vec<Problem>) -> Option<T>,
) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for node in list(node, name, problems) {
        let Some(item) = read(node, problems) else { continue };
        if found.contains(&item) {
            let message = format!("{name}: {} occurs twice; keep one of them", node.found());
            problems.push(Problem::new(node.mark, message));
        } else {
            found.push(item);
        }
    }
    found
}
