//! Whether an expression holds for a row.

use serde_json::Value;

use super::expression::{Expression, Match, Operator};

/// Fields whose names are the user's: one that is not there is no mistake.
const MAPS: [&str; 5] =
    ["Meta", "NodeMeta", "ServiceMeta", "TaggedAddresses", "ServiceTaggedAddresses"];

/// Says so, or what the expression asks for that rows do not have.
pub(super) fn holds(expression: &Expression, row: &Value) -> Result<bool, String> {
    Ok(match expression {
        Expression::Not(inner) => !holds(inner, row)?,
        Expression::Match(one) => field_holds(one, &one.selector, row, false)?,
        Expression::Or(all) => any(all, |one| holds(one, row))?,
        Expression::And(all) => !any(all, |one| Ok(!holds(one, row)?))?,
    })
}

fn any<T>(
    all: impl IntoIterator<Item = T>,
    mut holds: impl FnMut(T) -> Result<bool, String>,
) -> Result<bool, String> {
    for one in all {
        if holds(one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn field_holds(one: &Match, path: &[String], value: &Value, is_map: bool) -> Result<bool, String> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(judge(one, value)? != one.is_negated);
    };
    match value {
        // One of the elements is enough.
        Value::Array(elements) if elements.iter().all(Value::is_object) => {
            any(elements, |element| field_holds(one, path, element, false))
        }
        Value::Object(fields) => match fields.get(name) {
            Some(field) => field_holds(one, rest, field, MAPS.contains(&name.as_str())),
            None if is_map => Ok(without(one)),
            // Not sent when they are empty.
            None if MAPS.contains(&name.as_str()) => field_holds(one, rest, &Value::Null, false),
            None if name == "Kind" => field_holds(one, rest, &Value::from(""), false),
            None => Err(invalid(one)),
        },
        Value::Null => Ok(without(one)),
        _ => Err(invalid(one)),
    }
}

/// What is said about a name that a map does not have: it equals nothing and holds nothing.
fn without(one: &Match) -> bool {
    match one.operator {
        Operator::Equal(_) | Operator::In(_) => one.is_negated,
        Operator::Empty => !one.is_negated,
        // As it is in Consul.
        Operator::Matches(_) => true,
    }
}

fn judge(one: &Match, value: &Value) -> Result<bool, String> {
    let unfit = |operator: &str| {
        let (not, selector) = (if one.is_negated { "Not " } else { "" }, one.selector.join("."));
        format!("Invalid match operator \"{not}{operator}\" for selector {selector:?}")
    };
    Ok(match (&one.operator, value) {
        (Operator::Equal(text), Value::String(own)) => own == text,
        (Operator::Equal(text), Value::Number(own)) => {
            let wanted = text.parse::<i128>().map_err(|_| coerced(one, text, "whole number"))?;
            own.to_string() == wanted.to_string()
        }
        (Operator::Equal(text), Value::Bool(own)) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => *own,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => !own,
            _ => return Err(coerced(one, text, "`true` or `false`")),
        },
        (Operator::Equal(_), _) => return Err(unfit("Equal")),
        (Operator::Empty, Value::Array(own)) => own.is_empty(),
        (Operator::Empty, Value::Object(own)) => own.is_empty(),
        (Operator::Empty, Value::Null) => true,
        (Operator::Empty, _) => return Err(unfit("Is Empty")),
        (Operator::In(text), Value::Array(own)) => own.iter().any(|own| own.as_str() == Some(text)),
        (Operator::In(text), Value::Object(own)) => own.contains_key(text),
        (Operator::In(text), Value::String(own)) => own.contains(text.as_str()),
        (Operator::In(_), Value::Null) => false,
        (Operator::In(_), _) => return Err(unfit("In")),
        (Operator::Matches(regex), Value::String(own)) => regex.is_match(own),
        (Operator::Matches(_), _) => return Err(unfit("Matches")),
    })
}

fn coerced(one: &Match, text: &str, wanted: &str) -> String {
    let selector = one.selector.join(".");
    format!("Failed to coerce value {text:?} for selector {selector:?}; give a {wanted}")
}

fn invalid(one: &Match) -> String {
    format!("Selector {:?} is not valid", one.selector.join("."))
}
