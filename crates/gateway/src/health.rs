//! The gateway's own health (R12's bodies).

use crate::policy::Health;
use crate::shared::Shared;

/// Status and JSON body. The gateway is ready while it is not draining: it forwards to whatever
/// instances it last knew, so neither a registry nor a service that is down makes it unready.
pub(crate) fn answer(health: Health, shared: &Shared) -> (u16, String) {
    let draining = shared.drain.is_cancelled();
    match health {
        Health::Live => (200, r#"{"status":"alive"}"#.into()),
        Health::Ready if draining => (503, r#"{"status":"not ready"}"#.into()),
        Health::Ready => (200, r#"{"status":"ready"}"#.into()),
        Health::Whole => {
            let status = if draining { "unhealthy" } else { "healthy" };
            let body = serde_json::json!({
                "status": status,
                "version": env!("CARGO_PKG_VERSION"),
                "connections": shared.open(),
            });
            (if draining { 503 } else { 200 }, body.to_string())
        }
    }
}
