//! Requests and failures so far, read from the metrics that are counted anyway.

use regatta_config::release::Totals;

/// The series that count requests.
const SERIES: [&str; 2] =
    ["http_server_request_duration_seconds_count{", "rpc_server_call_duration_seconds_count{"];

/// Routes of the chassis: a health that tells of trouble is no failed request.
const OWN: [&str; 6] = ["/health", "/livez", "/readyz", "/healthz", "/metrics", "/openapi.json"];

/// Sums up the requests in a text of metrics.
///
/// Read at most once a second, and only while a release is watched, so that requests pay nothing.
pub(super) fn totals(metrics: &str) -> Totals {
    let mut totals = Totals::default();
    for line in metrics.lines() {
        let counts = SERIES.iter().any(|series| line.starts_with(series));
        let Some((labels, count)) = line.rsplit_once(' ').filter(|_| counts) else { continue };
        if label(labels, "http_route").is_some_and(is_own) {
            continue;
        }
        let count = count.parse().unwrap_or(0);
        totals.requests += count;
        // A caller that went away says nothing of this service.
        if label(labels, "error_type").is_some_and(|kind| kind != "cancelled") {
            totals.errors += count;
        }
    }
    totals
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

fn is_own(route: &str) -> bool {
    OWN.iter().any(|own| {
        route.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_over_all_series_and_failures_by_their_type() {
        let text = r#"
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_route="/a",le="1"} 99
http_server_request_duration_seconds_count{http_response_status_code="200",http_route="/a"} 10
http_server_request_duration_seconds_count{error_type="500",http_response_status_code="500",http_route="/a"} 3
http_server_request_duration_seconds_count{error_type="cancelled",http_route="/a"} 2
http_server_request_duration_seconds_count{error_type="503",http_route="/health"} 7
http_server_request_duration_seconds_count{http_route="/healthy"} 1
rpc_server_call_duration_seconds_count{error_type="INTERNAL",rpc_method="a.B/C"} 4
rpc_client_call_duration_seconds_count{error_type="INTERNAL"} 50
process_memory_usage_bytes 5
"#;
        assert_eq!(totals(text), Totals { requests: 20, errors: 7 });
        assert_eq!(
            totals("garbage\nhttp_server_request_duration_seconds_count{ x"),
            Totals::default()
        );
    }
}
