//! An instance as a service's process runs it: serves, registers, leaves politely.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use regatta_core::Instance;
use regatta_discovery::{Check, Register, Registrar, RegistrarSettings, Registration};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::serve;

/// How long an instance serves on after it was deregistered, so that callers hear of it. The
/// chassis' `server.linger` is of this kind.
pub const LINGER: Duration = Duration::from_millis(500);

/// Serves these routes and keeps this instance registered until `drain`; then deregisters, serves
/// on for [`LINGER`], and finishes what is in flight.
///
/// # Errors
///
/// When the simulated host cannot listen.
///
/// # Panics
///
/// When the registrar's settings are out of range.
///
/// # Cancel safety
///
/// Not cancel safe: dropped, it is a process that was killed.
pub async fn run_instance(
    routes: Router,
    registry: Arc<dyn Register>,
    instance: Instance,
    settings: RegistrarSettings,
    drain: CancellationToken,
) -> std::io::Result<()> {
    let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
    // In a life of its own: a simulation is faster than the clock that lives are numbered by.
    let life = turmoil::sim_elapsed().unwrap_or_default().as_millis() as u64 + 1;
    let registration = Registration::new(instance.with_incarnation(life));
    let registration = registration.with_check(Check::tcp().every(crate::consul::CHECK_EVERY));
    let registrar = Registrar::try_new(registry, registration, settings);
    let registrar = registrar.expect("the settings of a simulation are in range");
    let (closing, drained) = (close.clone(), drain.clone());
    tasks.spawn(async move {
        registrar.run(drained).await;
        tokio::time::sleep(LINGER).await;
        closing.cancel();
    });
    serve(routes, close).await
}
