//! The deliveries that failed, as JSON in a row.

use regatta_events::{BusError, FailedDelivery};
use serde_json::{Value, json};

use crate::engine::{from_micros, micros};

pub(crate) fn to_text(failures: &[FailedDelivery]) -> String {
    let one = |failure: &FailedDelivery| json!({ "number": failure.number, "at": micros(failure.at), "reason": failure.reason });
    Value::from(failures.iter().map(one).collect::<Vec<_>>()).to_string()
}

pub(crate) fn from_text(text: &str) -> Result<Vec<FailedDelivery>, BusError> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| BusError::Broken(error);
    let failures: Vec<Value> = serde_json::from_str(text).map_err(|error| broken(error.into()))?;
    let one = |failure: &Value| {
        Some(FailedDelivery {
            number: failure["number"].as_u64()?.try_into().ok()?,
            at: from_micros(failure["at"].as_i64()?),
            reason: failure["reason"].as_str()?.to_owned(),
        })
    };
    let read: Option<Vec<_>> = failures.iter().map(one).collect();
    read.ok_or_else(|| broken("a failed delivery without number, time or reason".into()))
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn failures_are_read_as_they_are_written() {
        let failures = [1, 2].map(|number| FailedDelivery {
            number,
            at: OffsetDateTime::from_unix_timestamp(1_750_000_000).unwrap(),
            reason: "it said \"no\"".to_owned(),
        });
        assert_eq!(from_text(&to_text(&failures)).unwrap(), failures);
        assert!(from_text("[{}]").is_err() && from_text("{").is_err());
    }
}
