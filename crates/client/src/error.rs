//! Why a call has no usable answer, and what may help.

use std::time::Duration;

use http::StatusCode;
use regatta_core::{Code, Endpoint, Origin, Problem, ServiceName};
use regatta_traffic::retry_info::{self, PUSHBACK};

/// No breaker was put in another state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// This process has not called such a service.
    #[error("this process has not called a service `{service}`; look at the list of its clusters")]
    UnknownService {
        /// What was given.
        service: ServiceName,
    },
    /// The service has no such instance now.
    #[error(transparent)]
    UnknownInstance(#[from] regatta_traffic::cluster::UnknownInstance),
}

/// A cause that another library reported.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call has no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be sent as it is: a bad path, header or body. A bug of this process.
    #[error("request to `{service}` cannot be sent: {problem}")]
    InvalidRequest {
        /// The service that was to be called.
        service: ServiceName,
        /// What is wrong with it, and what to write.
        problem: String,
    },
    /// Discovery knows no instance that can be called.
    #[error(
        "no instance of `{service}` is known; start one, or look at why it is not passing its check"
    )]
    NoInstance {
        /// The service that was to be called.
        service: ServiceName,
        /// Why there is none.
        #[source]
        source: regatta_traffic::cluster::PickError,
    },
    /// Discovery has not answered yet.
    #[error(
        "discovery has not said where `{service}` is within {waited:?}; look at the registry's URL \
         and whether it is up"
    )]
    NotDiscovered {
        /// The service that was to be called.
        service: ServiceName,
        /// How long the call waited.
        waited: Duration,
    },
    /// Every instance failed so often that it is left alone for now.
    #[error("every instance of `{service}` keeps failing; retry in {retry_after:?}")]
    BreakerOpen {
        /// The service that was to be called.
        service: ServiceName,
        /// How long until the first breaker admits a probe.
        retry_after: Duration,
    },
    /// As many calls to the service are in flight as may be: nothing was sent.
    #[error("too many calls to `{service}` are in flight; look at its latency, or raise the limit")]
    Overloaded {
        /// The service that was to be called.
        service: ServiceName,
        /// How many, and whether the call waited.
        #[source]
        source: regatta_resilience::concurrency::Rejected,
    },
    /// No connection was made: nothing was sent.
    #[error("cannot connect to `{service}` at `{endpoint}`; look whether it is up")]
    Connect {
        /// The service that was called.
        service: ServiceName,
        /// The instance of the last try.
        endpoint: Endpoint,
        /// What the connection reported.
        #[source]
        source: Cause,
    },
    /// The connection broke, or what came over it is not HTTP: the call may have happened.
    #[error("`{service}` at `{endpoint}` gave no valid answer; look at its log")]
    Broken {
        /// The service that was called.
        service: ServiceName,
        /// The instance of the last try.
        endpoint: Endpoint,
        /// What the connection reported.
        #[source]
        source: Cause,
    },
    /// The stream of the request's body failed or stood still, so that the service never got all of
    /// it. A fault of
    /// this process, or of whoever feeds the stream.
    #[error("the request to `{service}` was not sent whole; look at what its body is read from")]
    RequestBody {
        /// The service that was called.
        service: ServiceName,
        /// What the stream reported.
        #[source]
        source: Cause,
    },
    /// Time ran out: the call may have happened.
    #[error("`{service}` did not answer in {waited:?}; look at its latency, or raise the timeout")]
    Timeout {
        /// The service that was called.
        service: ServiceName,
        /// How long the call waited, all tries together.
        waited: Duration,
    },
    /// The deadline was over before anything was sent.
    #[error("no time is left to call `{service}`; raise the caller's timeout")]
    DeadlineOver {
        /// The service that was to be called.
        service: ServiceName,
    },
    /// The service answered with a status of 400 or more, and the caller asked for one under it.
    #[error("`{service}` answered {status}: {}", .rejected.summary())]
    Status {
        /// The service that was called.
        service: ServiceName,
        /// What it answered.
        status: StatusCode,
        /// What its body says.
        rejected: Box<Rejected>,
    },
    /// The body is larger than this client reads into memory.
    #[error(
        "the answer of `{service}` is over {limit} bytes; ask for less, or raise max_body_bytes"
    )]
    BodyTooLarge {
        /// The service that was called.
        service: ServiceName,
        /// The option `max_body_bytes`.
        limit: usize,
    },
    /// The body is not the JSON that was expected.
    #[error("the answer of `{service}` is not what was expected; look whether the versions fit")]
    Decode {
        /// The service that was called.
        service: ServiceName,
        /// Where the JSON differs.
        #[source]
        source: serde_json::Error,
    },
}

/// What the body of an error response says; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The problem's `code`, such as `payment_declined`.
    pub code: String,
    /// The problem's `title`, or the member `error`.
    pub title: String,
    /// The problem's `detail`.
    pub detail: String,
    /// `Retry-After`, in either form.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// The service that was called, or was to be.
    pub fn service(&self) -> &ServiceName {
        match self {
            Self::InvalidRequest { service, .. }
            | Self::NoInstance { service, .. }
            | Self::NotDiscovered { service, .. }
            | Self::BreakerOpen { service, .. }
            | Self::Overloaded { service, .. }
            | Self::Connect { service, .. }
            | Self::Broken { service, .. }
            | Self::RequestBody { service, .. }
            | Self::Timeout { service, .. }
            | Self::DeadlineOver { service }
            | Self::Status { service, .. }
            | Self::BodyTooLarge { service, .. }
            | Self::Decode { service, .. } => service,
        }
    }

    /// Whose fault it is. A 4xx is ours: this process made the request.
    pub fn origin(&self) -> Origin {
        match self {
            Self::InvalidRequest { .. }
            | Self::RequestBody { .. }
            | Self::BodyTooLarge { .. }
            | Self::Overloaded { .. } => Origin::Us,
            Self::Status { status, .. } if status.is_client_error() => Origin::Us,
            Self::DeadlineOver { .. } => Origin::Caller,
            _ => Origin::Upstream,
        }
    }

    /// Whether the same call may succeed later. Whether it is safe to repeat is another question:
    /// see [`Error::was_sent`].
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoInstance { .. }
            | Self::NotDiscovered { .. }
            | Self::BreakerOpen { .. }
            | Self::Overloaded { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. } => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the call may have happened.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self,
            Self::InvalidRequest { .. }
                | Self::NoInstance { .. }
                | Self::NotDiscovered { .. }
                | Self::BreakerOpen { .. }
                | Self::Overloaded { .. }
                | Self::Connect { .. }
                | Self::DeadlineOver { .. }
        )
    }

    /// When a retry may help, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BreakerOpen { retry_after, .. } => Some(*retry_after),
            Self::Status { rejected, .. } => rejected.retry_after,
            _ => None,
        }
    }

    /// The code towards this process's own caller.
    pub fn code(&self) -> Code {
        match self {
            Self::NoInstance { .. }
            | Self::NotDiscovered { .. }
            | Self::BreakerOpen { .. }
            | Self::Overloaded { .. }
            | Self::Connect { .. }
            | Self::Broken { .. } => Code::Unavailable,
            Self::Timeout { .. } | Self::DeadlineOver { .. } => Code::DeadlineExceeded,
            Self::Status { status, .. } => match status.as_u16() {
                502 | 503 | 429 => Code::Unavailable,
                504 => Code::DeadlineExceeded,
                _ => Code::Internal,
            },
            Self::InvalidRequest { .. }
            | Self::RequestBody { .. }
            | Self::BodyTooLarge { .. }
            | Self::Decode { .. } => Code::Internal,
        }
    }

    /// The HTTP status towards this process's own caller, 500 to 504.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The name in metrics and spans (`error.type`), such as `connect`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "invalid_request",
            Self::NoInstance { .. } => "no_instance",
            Self::NotDiscovered { .. } => "not_discovered",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Overloaded { .. } => "overloaded",
            Self::Connect { .. } => "connect",
            Self::Broken { .. } => "broken",
            Self::RequestBody { .. } => "request_body",
            Self::Timeout { .. } => "timeout",
            Self::DeadlineOver { .. } => "deadline_over",
            Self::Status { .. } => "status",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::Decode { .. } => "decode",
        }
    }

    /// What this process's own caller may know; the rest is for the log.
    fn public(&self) -> String {
        let service = self.service();
        match (self.code(), self.retry_after()) {
            (Code::Unavailable, Some(after)) => {
                let seconds = whole_seconds(after);
                format!("`{service}` is not available now; try again in {seconds} s")
            }
            (Code::Unavailable, None) => {
                format!("`{service}` is not available now; try again later")
            }
            (Code::DeadlineExceeded, _) => format!("`{service}` did not answer in time"),
            _ => format!("the call of `{service}` failed"),
        }
    }
}

impl Rejected {
    fn summary(&self) -> &str {
        let texts = [&self.detail, &self.title, &self.code];
        texts.into_iter().find(|text| !text.is_empty()).map_or("it does not say why", |text| text)
    }
}

/// Rounded up, so that nobody comes back too early; one at least, for 0 asks to come at once.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

impl From<&Error> for Problem {
    /// What this process answers to its own caller; a `retry_after` becomes a member, in seconds.
    fn from(error: &Error) -> Self {
        let problem = Self::of(error.code(), error.public());
        match error.retry_after() {
            Some(after) => problem.with_member("retry_after", whole_seconds(after)),
            None => problem,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<Error> for tonic::Status {
    /// What this process answers to its own caller, with the error as source for the log. When the
    /// call may have happened, the caller is told not to repeat its own
    /// (`grpc-retry-pushback-ms: -1`); else when to come back, if that is known.
    fn from(error: Error) -> Self {
        let (code, message) = (error.code(), error.public());
        let mut status = match error.retry_after().filter(|_| !error.was_sent()) {
            None => Self::new(code.grpc().into(), message),
            Some(wait) => {
                let details = retry_info::details(code, &message, wait).into();
                let mut status = Self::with_details(code.grpc().into(), message, details);
                let millis = wait.as_nanos().div_ceil(1_000_000);
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                status.metadata_mut().insert(PUSHBACK, millis.into());
                status.metadata_mut().insert("retry-after", whole_seconds(wait).into());
                status
            }
        };
        if error.was_sent() && code == Code::Unavailable {
            // UNAVAILABLE without a message says that nothing was begun, and here it may have been.
            let never = tonic::metadata::MetadataValue::from_static("-1");
            status.metadata_mut().insert(PUSHBACK, never);
        }
        status.set_source(std::sync::Arc::new(error));
        status
    }
}
