//! What an operator may set about calls, for all services and for single ones.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_config::{ByteSize, Field, Fields, Problem, Setting, Value, choices, settings};

use super::{FailureCondition, ServicesSettings, failure_on};

/// A wait of no time never succeeds.
const POSITIVE: Duration = Duration::from_millis(1);

/// One list of settings, in two forms: with defaults, for all services; optional, for one service.
macro_rules! call_settings {
    ($(
        $(#[doc = $doc:expr])*
        $name:ident: $type:ty = $default:expr $(, range $range:expr)?;
    )*) => {
        settings! {
            /// How calls to other services are bounded, balanced and repeated. A change of the
            /// file holds at once.
            pub struct ClientSettings in "client" {
                $($(#[doc = $doc])* pub $name: $type = $default $(, range $range)?;)*
                /// The same settings for single services, by name, where they are to differ; and
                /// `versions`, the weights of a service's versions, such as {v1: 90, v2: 10}.
                pub services: ServicesSettings;
            }
        }

        /// Settings of calls to one service, in the place of those for all.
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct ServiceCallSettings {
            $($(#[doc = $doc])* pub $name: Option<$type>,)*
            /// Weights of the service's versions; without any, versions do not matter.
            pub versions: Option<BTreeMap<String, u32>>,
        }

        impl Setting for ServiceCallSettings {
            fn kind() -> String {
                "a map of settings as in `client`".to_owned()
            }

            fn read(value: &Value) -> Result<Self, Vec<Problem>> {
                let mut fields = Fields::of::<Self>(value)?;
                let own = Self {
                    $($name: fields.read(
                        stringify!($name),
                        Field::<$type>::new("client", stringify!($name), &[], $default)
                            $(.range($range))?,
                    ),)*
                    versions: fields.read(
                        "versions",
                        Field::new("client", "versions", &[], BTreeMap::new()).validate(some_weight),
                    ),
                };
                fields.finish().map(|()| own)
            }

            fn write(&self) -> Option<String> {
                let mut written: Vec<String> = Vec::new();
                $(if let Some(text) = self.$name.as_ref().and_then(Setting::write) {
                    written.push(format!("{}: {text}", stringify!($name)));
                })*
                if let Some(text) = self.versions.as_ref().and_then(Setting::write) {
                    written.push(format!("versions: {text}"));
                }
                Some(format!("{{{}}}", written.join(", ")))
            }
        }

        impl ClientSettings {
            /// These settings with those of one service in their place.
            pub(super) fn with(&self, own: &ServiceCallSettings) -> Self {
                Self {
                    $($name: own.$name.clone().unwrap_or_else(|| self.$name.clone()),)*
                    services: ServicesSettings::default(),
                }
            }
        }
    };
}

call_settings! {
    /// Longest time for a call with all its tries; a caller's earlier deadline comes first.
    timeout: Duration = Duration::from_secs(15), range POSITIVE..;
    /// Longest time for one try, until the response begins.
    try_timeout: Duration = Duration::from_secs(5), range POSITIVE..;
    /// Longest time for a connection.
    connect_timeout: Duration = Duration::from_secs(1), range POSITIVE..;
    /// How long the first call of a service waits for the registry.
    discovery_timeout: Duration = Duration::from_secs(5), range POSITIVE..;
    /// Tries of one call, the first included; 1 switches retries off.
    tries: u32 = 3, range 1..=10;
    /// Longest wait before the first retry; doubles with each further one, up to `most_backoff`.
    first_backoff: Duration = Duration::from_secs(1), range ..=Duration::from_secs(60);
    /// Longest wait before any retry, the first included.
    most_backoff: Duration = Duration::from_secs(4), range ..=Duration::from_secs(60);
    /// Longest Retry-After of a service that is waited for; a longer one ends the call.
    most_retry_after: Duration = Duration::from_secs(5), range ..=Duration::from_secs(3600);
    /// Retries of a service's calls, as a percentage of those that succeed.
    retry_percent: u32 = 20, range ..=100;
    /// Retries of a service's calls per second beyond that.
    retries_per_second: u32 = 3, range ..=1000;
    /// A read that takes longer than this share of calls, in percent, is sent to a second instance
    /// too; 0 sends none, else 50 to 99.
    hedge_percentile: u32 = 0, range ..=99;
    /// Calls of the last minute that must be known before any read is sent twice.
    hedge_minimum_calls: u64 = 100, range 20..;
    /// The shortest time before a read is sent to a second instance.
    hedge_least: Duration = Duration::from_millis(1), range ..=Duration::from_secs(3600);
    /// The longest time before it is.
    hedge_most: Duration = Duration::from_secs(1), range ..=Duration::from_secs(3600);
    /// Calls of a service in flight at a time; 0 sets no limit.
    max_in_flight: u32 = 1024, range ..=1_000_000;
    /// Whether that limit follows the latency of the service (Gradient2), between `least_in_flight`
    /// and itself.
    adaptive: bool = false;
    /// The least limit when it does.
    least_in_flight: u32 = 8, range 1..=1_000_000;
    /// How much slower than usual is not yet slow for it, in percent of the usual.
    tolerance_percent: u32 = 150, range 100..=1000;
    /// Share of the limit, in percent, that is kept free of calls less urgent than most.
    reserved_percent: u32 = 20, range ..=100;
    /// Calls that may wait for one of these to end.
    queue: u32 = 256, range ..=1_000_000;
    /// Longest wait.
    queue_timeout: Duration = Duration::from_millis(250), range ..=Duration::from_secs(60);
    /// How instances take turns.
    strategy: Strategy = Strategy::default();
    /// How far an instance may be over its fair share under consistent_hash, in percent of it; 0
    /// sets no bound.
    hash_load_percent: u32 = 125, range ..=10_000;
    /// Whether instances in this service's own zone (service.zone) come first.
    prefer_zone: bool = true;
    /// Time in which a new instance comes to its full share; 0 gives it at once.
    slow_start: Duration = Duration::from_secs(30), range ..=Duration::from_secs(3600);
    /// The share with which it begins, in percent.
    slow_start_percent: u32 = 10, range 1..=100;
    /// What counts as a failure of an instance, for breakers and ejection: connect, refused,
    /// refused_stream, timeout, reset, cut_off, 5xx, gateway_error, a status such as 429, a gRPC
    /// code such as grpc:UNAVAILABLE. An empty list counts nothing.
    failure_on: Vec<FailureCondition> = failure_on::default();
    /// Failures in a row after which an instance is left alone; 4294967295 switches the rule off.
    failure_threshold: u32 = 5, range 1..;
    /// How long it is left alone before it is tried again.
    open_for: Duration = Duration::from_secs(60), range POSITIVE..;
    /// Calls that try it at a time then.
    probes: u32 = 1, range 1..=1000;
    /// Share of failures after which an instance is left alone, in percent; 0 switches it off.
    failure_percent: u32 = 50, range ..=100;
    /// How long a call counts in the shares.
    failure_window: Duration = Duration::from_secs(10),
        range Duration::from_millis(100)..=Duration::from_secs(3600);
    /// Calls within that time under which no share counts.
    minimum_calls: u32 = 20, range 1..=1_000_000;
    /// A call that takes this long is slow; 0 counts none.
    slow_call: Duration = Duration::ZERO;
    /// Share of slow calls after which an instance is left alone, in percent.
    slow_percent: u32 = 80, range 1..=100;
    /// Failures in a row after which an instance is ejected from among its peers; 4294967295
    /// switches the rule off.
    outlier_failures: u32 = 5, range 1..;
    /// Whether an instance is ejected too whose success rate is far below its peers'.
    outlier_success_rate: bool = true;
    /// Instances with enough calls under which no success rates are compared.
    outlier_instances: u32 = 5, range 2..;
    /// Calls of an instance between two looks that are enough.
    outlier_calls: u64 = 100, range 1..;
    /// How many standard deviations below the mean a success rate is too low, in thousandths.
    outlier_deviation_thousandths: u32 = 1900, range 1..;
    /// Time between two looks at the success rates.
    outlier_interval: Duration = Duration::from_secs(10),
        range Duration::from_millis(100)..=Duration::from_secs(3600);
    /// Time of the first ejection; the n-th takes n times as long, up to `most_ejection_time`.
    ejection_time: Duration = Duration::from_secs(30), range POSITIVE..;
    /// The longest ejection; `ejection_time` or more.
    most_ejection_time: Duration = Duration::from_secs(300), range POSITIVE..;
    /// The largest share of instances that are ejected at a time, in percent; one may always be.
    max_ejected_percent: u32 = 10, range ..=100;
    /// When fewer than this share of instances is usable, all are used again, in percent.
    panic_percent: u32 = 50, range ..=100;
    /// Share of failures of a service's calls, all instances together, after which it is left
    /// alone, in percent; 0 switches it off.
    service_failure_percent: u32 = 90, range ..=100;
    /// How long a call counts in that share.
    service_failure_window: Duration = Duration::from_secs(10),
        range Duration::from_millis(100)..=Duration::from_secs(3600);
    /// Calls within that time under which it does not count.
    service_minimum_calls: u32 = 100, range 1..=1_000_000;
    /// How long the service is left alone before it is tried again.
    service_open_for: Duration = Duration::from_secs(5), range POSITIVE..;
    /// Calls that try it at a time then.
    service_probes: u32 = 5, range 1..=1000;
    /// The longest silence within the body of a call that is streamed.
    body_idle: Duration = Duration::from_secs(30), range POSITIVE..;
    /// How long an idle connection is kept; shorter than the called service keeps it.
    idle_timeout: Duration = Duration::from_secs(30), range POSITIVE..;
    /// Idle HTTP/1.1 connections kept per instance.
    max_idle: usize = 32;
    /// HTTP/2 connections per instance; another is opened when one has no stream left.
    max_http2: usize = 4, range 1..=1000;
    /// Bytes of an answer that is read into memory.
    max_body_bytes: ByteSize = ByteSize::mib(16);
    /// Bytes of a gRPC request that is kept for a retry; larger ones are sent once.
    replay_bytes: ByteSize = ByteSize::kib(64);
}

choices! {
    /// How instances take turns.
    #[derive(Default)]
    pub enum Strategy {
        /// The better of two, by latency and load.
        #[default]
        P2c = "p2c",
        /// One after the other.
        RoundRobin = "round_robin",
        /// Any, each as likely.
        Random = "random",
        /// In turn, each as often as its weight says.
        Weighted = "weighted",
        /// The one that a call's key belongs to.
        ConsistentHash = "consistent_hash",
    }
}

/// Weights of which none counts would leave no instance.
fn some_weight(weights: &BTreeMap<String, u32>) -> Result<(), &'static str> {
    let counts = weights.is_empty() || weights.values().any(|weight| *weight > 0);
    if counts { Ok(()) } else { Err("give at least one version a weight above 0") }
}
