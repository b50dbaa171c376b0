//! How services stand at this moment, as gauges.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use regatta_resilience::breaker::State;

use crate::metrics::escape;
use crate::upstream::Target;

const INSTANCES: &str = "regatta_gateway_instances";
const REQUESTS: &str = "regatta_gateway_requests";
const STALE: &str = "regatta_gateway_discovery_stale_seconds";

/// Each service's instances by the state of their breaker, its requests in flight and waiting, and
/// how long the registry has been away; in Prometheus' text format.
pub(crate) fn render(
    services: &[Arc<Target>],
    now: Instant,
    text: &mut String,
) -> std::fmt::Result {
    writeln!(
        text,
        "# HELP {INSTANCES} Known instances by the state of their breaker, and ejected."
    )?;
    writeln!(text, "# TYPE {INSTANCES} gauge")?;
    for target in services {
        let (service, view) = (escape(target.name()), target.upstream.cluster.view(now));
        for state in [State::Closed, State::HalfOpen, State::Open].map(State::name) {
            let count = view.instances.iter().filter(|one| one.breaker == state).count();
            writeln!(text, "{INSTANCES}{{service=\"{service}\",state=\"{state}\"}} {count}")?;
        }
        // Beside the others: its breaker is in some state too.
        let count = view.instances.iter().filter(|one| one.ejected_for_ms.is_some()).count();
        writeln!(text, "{INSTANCES}{{service=\"{service}\",state=\"ejected\"}} {count}")?;
    }
    writeln!(text, "# HELP {REQUESTS} Requests in flight, and requests that wait to be.")?;
    writeln!(text, "# TYPE {REQUESTS} gauge")?;
    for target in services {
        let Some(limit) = &target.limit else { continue };
        let service = escape(target.name());
        let (in_flight, queued) = (limit.in_flight(), limit.queued());
        writeln!(text, "{REQUESTS}{{service=\"{service}\",state=\"in_flight\"}} {in_flight}")?;
        writeln!(text, "{REQUESTS}{{service=\"{service}\",state=\"queued\"}} {queued}")?;
    }
    writeln!(
        text,
        "# HELP {STALE} Time since the registry last stood behind the instances; 0: it does."
    )?;
    writeln!(text, "# TYPE {STALE} gauge")?;
    for target in services {
        let stale = target.upstream.watch.current().stale_for(now).unwrap_or_default();
        let (service, stale) = (escape(target.name()), stale.as_secs_f64());
        writeln!(text, "{STALE}{{service=\"{service}\"}} {stale}")?;
    }
    Ok(())
}
