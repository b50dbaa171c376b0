//! What is scraped.

use regatta_telemetry::{Identity, Options, Telemetry, query_classified};

#[tokio::test]
async fn a_query_is_measured_by_system_operation_table_and_error() {
    let telemetry = telemetry();
    let failing = async { Err::<(), _>("duplicate") };
    let _ =
        query_classified("postgresql", "INSERT", "users", failing, |_| "unique_violation").await;
    let text = telemetry.metrics_text();
    let expected = r#"db_client_operation_duration_seconds_count{db_collection_name="users",db_operation_name="INSERT",db_system_name="postgresql",error_type="unique_violation"} 1"#;
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn a_query_that_is_dropped_counts_as_cancelled() {
    let telemetry = telemetry();
    let hanging = std::future::pending::<Result<(), ()>>();
    let query = regatta_telemetry::query("sqlite", "DELETE", "orders", hanging);
    let timeout = std::time::Duration::from_millis(1);
    assert!(tokio::time::timeout(timeout, query).await.is_err());
    let text = telemetry.metrics_text();
    assert!(
        text.contains(
            r#"db_operation_name="DELETE",db_system_name="sqlite",error_type="cancelled"} 1"#
        ),
        "{text}"
    );
}

#[tokio::test]
async fn instruments_of_ones_own_are_scraped_too() {
    let identity = Identity::new("order-service").with_instance("i-1");
    let telemetry = Telemetry::init(identity, Options::quiet()).unwrap();
    telemetry.meter().u64_counter("orders.placed").build().add(2, &[]);
    let text = telemetry.metrics_text();
    assert!(text.contains("orders_placed_total 2"), "{text}");
    assert!(
        text.contains(r#"target_info{service_instance_id="i-1",service_name="order-service""#),
        "{text}"
    );
}

/// The process's telemetry, where queries outside a request go.
fn telemetry() -> Telemetry {
    Telemetry::init(Identity::new("x"), Options::quiet()).unwrap();
    Telemetry::global()
}
