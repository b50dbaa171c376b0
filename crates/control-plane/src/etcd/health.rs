//! Whether the store is healthy, and etcd's page that says so.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::app::App;
use super::wire;
use crate::kv::Alarm;

/// What an operator is told when the store refuses changes for its disk's sake.
pub(crate) const NOT_WRITABLE: &str =
    "the disk takes no writes; make room or see the log, it goes on by itself";
/// As etcd's page.
const TEXT: &str = "text/plain; charset=utf-8";

impl App {
    /// Why the store is not healthy; none when it is. Alarms of the names in `excluded` are passed
    /// over.
    pub(crate) fn trouble(&self, excluded: &[String]) -> Option<String> {
        let is_writable = self.store.is_writable();
        let alarms: Vec<_> =
            self.store.read(|state, _| state.alarms().iter().map(|(alarm, _)| *alarm).collect());
        trouble(is_writable, &alarms, excluded)
    }
}

fn trouble(is_writable: bool, alarms: &[Alarm], excluded: &[String]) -> Option<String> {
    if !is_writable {
        return Some(NOT_WRITABLE.to_owned());
    }
    let mut names = alarms.iter().map(|alarm| wire::alarm(*alarm).as_str_name());
    let raised = names.find(|name| !excluded.iter().any(|excluded| excluded == name))?;
    Some(format!("ALARM {raised}"))
}

/// `GET /health`, with the alarms of `?exclude=` passed over.
pub(crate) async fn health(
    State(app): State<App>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let asked = query.into_iter().filter(|(name, _)| name == "exclude");
    let excluded: Vec<_> = asked.map(|(_, alarm)| alarm).collect();
    let (status, page) = match app.trouble(&excluded) {
        None => (StatusCode::OK, json!({ "health": "true" })),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "health": "false", "reason": reason }))
        }
    };
    (status, [(CONTENT_TYPE, TEXT)], page.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_nothing_and_an_alarm_that_is_not_excluded_are_trouble() {
        let excluded = ["NOSPACE".to_owned()];
        let says = |is_writable, alarms: &[Alarm], excluded: &[String]| {
            trouble(is_writable, alarms, excluded).unwrap_or_default()
        };
        assert_eq!(says(true, &[], &[]), "");
        assert_eq!(says(false, &[], &excluded), NOT_WRITABLE);
        assert_eq!(says(true, &[Alarm::NoSpace], &[]), "ALARM NOSPACE");
        assert_eq!(says(true, &[Alarm::NoSpace], &excluded), "");
        assert_eq!(says(true, &[Alarm::NoSpace, Alarm::Corrupt], &excluded), "ALARM CORRUPT");
    }
}
