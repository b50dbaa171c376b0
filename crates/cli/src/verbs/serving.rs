//! What the verbs that serve have in common: telemetry and the end.

use regatta_config::Config;
use regatta_telemetry::{Identity, LogFormat, LogOptions, Options, Telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::Failure;

/// Telemetry as the environment asks for it: `RUST_LOG`, `LOG__FORMAT`, `OTEL_*`.
pub(crate) fn telemetry(name: &str) -> Result<Telemetry, Failure> {
    let variables = || {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
    };
    let mut identity = Identity::new(name).with_version(env!("CARGO_PKG_VERSION"));
    if let Ok(instance) = std::env::var("REGATTA_INSTANCE") {
        identity = identity.with_instance(instance);
    }
    let config = Config::builder().environment(variables()).build()?;
    let mut options = Options::default();
    let mut logs = LogOptions::default();
    logs.filter = config.get_or("rust_log", logs.filter)?;
    let format: String = config.get_or("log.format", "auto".to_owned())?;
    logs.format = format.parse::<LogFormat>()?;
    options.logs = Some(logs);
    options.apply_variables(&mut identity, variables())?;
    Ok(Telemetry::init(identity, options)?)
}

/// Cancelled at the first interrupt or termination.
pub(crate) fn drain() -> Result<CancellationToken, Failure> {
    let drain = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let begun = drain.clone();
    let listen = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        begun.cancel();
    };
    // Ends with the runtime: there is nothing it could leave half done.
    let _task = TaskTracker::new().spawn(listen);
    Ok(drain)
}
