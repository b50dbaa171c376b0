//! The connection to NATS, and the streams of the bus in it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Stream};
use async_nats::{Client, ConnectOptions};
use futures::FutureExt;
use regatta_events::BusError;

use crate::subject::Names;
use crate::{InvalidOptions, Options};

/// How long to wait between two tries to connect: at first at once, at last this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Publications that may wait for their acknowledgement.
pub(crate) const IN_FLIGHT: usize = 4096;

/// The connection, which comes and goes by itself.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) names: Names,
    options: Options,
    streams: Mutex<Option<Arc<Streams>>>,
}

/// The three streams.
pub(crate) struct Streams {
    pub(crate) events: Stream,
    pub(crate) groups: Stream,
    pub(crate) letters: Stream,
}

impl Link {
    pub(crate) fn try_new(options: Options) -> Result<Self, InvalidOptions> {
        let servers = options.validate()?;
        let connecting = proving(ConnectOptions::new(), &options)?
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(options.timeout)
            .request_timeout(Some(options.timeout))
            // A connection whose other end has vanished is noticed after two of them.
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|tries| {
                let doubled = 20_u64.saturating_mul(2_u64.saturating_pow(tries.min(20) as u32));
                Duration::from_millis(doubled).min(LONGEST_PAUSE)
            })
            .name(&options.prefix);
        // It connects in a task of its own, so there is nothing to wait for.
        let connecting = connecting.connect(servers).now_or_never();
        let client = connecting
            .ok_or_else(|| InvalidOptions::Client("it waits for its first connection".into()))?
            .map_err(|error| InvalidOptions::Client(error.into()))?;
        let jetstream = ContextBuilder::new()
            .timeout(options.timeout)
            .ack_timeout(options.timeout)
            .max_ack_inflight(IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let names = Names::new(&options.prefix);
        Ok(Self { client, jetstream, names, options, streams: Mutex::default() })
    }

    /// The streams; made when they are not there, unless one only looks.
    pub(crate) async fn streams(&self) -> Result<Arc<Streams>, BusError> {
        if let Some(streams) = &*self.lock() {
            return Ok(streams.clone());
        }
        let make = async |name: String, subject: String, latest_only: bool| {
            let config = Config {
                name,
                subjects: vec![subject],
                retention: RetentionPolicy::Limits,
                // What does not fit is refused; nothing that was taken is let go.
                discard: if latest_only { DiscardPolicy::Old } else { DiscardPolicy::New },
                max_messages_per_subject: if latest_only { 1 } else { -1 },
                max_messages: -1,
                max_bytes: -1,
                num_replicas: self.options.replicas,
                duplicate_window: self.options.duplicate_window,
                ..Config::default()
            };
            if self.options.makes_streams {
                return self.jetstream.get_or_create_stream(config).await.map_err(unavailable);
            }
            self.jetstream.get_stream(config.name).await.map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(cause)
                    if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    BusError::Absent
                }
                _ => unavailable(error),
            })
        };
        let names = &self.names;
        let made = Arc::new(Streams {
            events: make(names.events(), names.all_events(), false).await?,
            groups: make(names.groups(), names.all_groups(), true).await?,
            letters: make(names.letters(), names.all_letters(), true).await?,
        });
        // Two who make them at once make the same.
        *self.lock() = Some(made.clone());
        Ok(made)
    }

    /// The streams are not there any more: the next call makes them.
    pub(crate) fn forget_streams(&self) {
        *self.lock() = None;
    }

    /// How often the connection was made; another number tells that it was lost meanwhile.
    pub(crate) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Streams>>> {
        // One assignment leaves nothing half-made.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With what the options have to prove who we are, and to know who the servers are.
fn proving(
    mut connecting: ConnectOptions,
    options: &Options,
) -> Result<ConnectOptions, InvalidOptions> {
    let read = |option, path: &PathBuf, what| {
        let wrong = move |path, source| InvalidOptions::File { option, path, what, source };
        (std::fs::read_to_string(path).map_err(|source| wrong(path.clone(), source)), wrong)
    };
    if let Some(path) = &options.credentials {
        let (text, wrong) = read("credentials", path, "what `nsc generate creds` writes");
        let with = connecting.credentials(&text?);
        connecting = with.map_err(|source| wrong(path.clone(), source))?;
    }
    if let Some(path) = &options.ca {
        let (text, wrong) = read("ca", path, "PEM with certificates");
        if !text?.contains("-----BEGIN CERTIFICATE-----") {
            return Err(wrong(path.clone(), std::io::Error::other("it holds no certificate")));
        }
        connecting = connecting.add_root_certificates(path.clone()).require_tls(true);
    }
    Ok(connecting)
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(crate) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::Unavailable(error.into())
}

pub(crate) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::Broken(error.into())
}
