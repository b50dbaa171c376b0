//! Filter expressions: which rows of an answer a client wants.
//!
//! `filter=Service.Meta.version == "2" and "primary" in Service.Tags`, in the language of Consul
//! (its documentation, "Filtering"). The rows are filtered as they would be sent.

mod expression;
mod matching;

use serde_json::Value;

use self::expression::Expression;
use super::failure::Failure;
use super::query::Query;

/// What a client wants of an answer.
#[derive(Debug)]
pub(crate) struct Filter(Option<Expression>);

impl Filter {
    /// The one of a query; without one, everything is wanted.
    pub(crate) fn of(query: &Query) -> Result<Self, Failure> {
        let text = query.get("filter").filter(|text| !text.is_empty());
        text.map(expression::parse).transpose().map(Self).map_err(refused)
    }

    /// Leaves the wanted ones of a list, of an object's values, or of the `Services` of a node.
    pub(crate) fn apply(&self, mut answer: Value) -> Result<Value, Failure> {
        let Some(expression) = &self.0 else { return Ok(answer) };
        let rows = match answer.get_mut("Services") {
            Some(services) if !services.get("ID").is_some_and(Value::is_string) => services,
            _ => &mut answer,
        };
        let mut wrong = None;
        let mut is_wanted = |row: &Value| {
            matching::holds(expression, row).unwrap_or_else(|error| {
                wrong.get_or_insert(error);
                false
            })
        };
        match rows {
            Value::Array(rows) => rows.retain(&mut is_wanted),
            Value::Object(rows) => rows.retain(|_, row| is_wanted(row)),
            _ => (),
        }
        wrong.map_or(Ok(answer), |wrong| Err(refused(wrong)))
    }
}

fn refused(reason: String) -> Failure {
    // Consul's status and words, and after them ours.
    Failure::internal(format!("Failed to create boolean expression evaluator: {reason}"))
}

#[cfg(test)]
mod tests;
