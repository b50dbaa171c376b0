//! Limits on one Redis server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Client, Script as Lua};
use regatta_redis_link::Link;
use regatta_resilience::breaker::{Breaker, Outcome, Settings as BreakerSettings, State};
use regatta_resilience::rate_limit::{Algorithm, Decision, Settings, SharedLimiter, Unavailable};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::quota::{Quota, Script};
use crate::{InvalidOptions, InvalidQuota, Options};

/// One Redis server that counts any number of limits. Cheap to clone; all clones share one
/// connection, which is made when the first call needs it.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    link: Link,
    breaker: Breaker,
    in_flight: Semaphore,
    sliding_window: Lua,
    gcra: Lua,
}

/// How long a server that keeps failing is left alone before one call looks again.
const REST: Duration = Duration::from_secs(1);

impl Redis {
    /// Limits on this server, which need not be there yet.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first option out of range.
    #[expect(clippy::missing_panics_doc, reason = "it cannot: see the expectation")]
    pub fn try_new(options: Options) -> Result<Self, InvalidOptions> {
        options.validate()?;
        let client = Client::open(options.url.as_str()).map_err(InvalidOptions::Url)?;
        let settings = BreakerSettings::default().with_open_for(REST);
        let breaker = Breaker::try_new(settings).expect("the defaults and a second are in range");
        let shared = Shared {
            link: Link::new(client, options.connect_timeout),
            breaker,
            in_flight: Semaphore::new(options.in_flight),
            sliding_window: Lua::new(include_str!("scripts/sliding_window.lua")),
            gcra: Lua::new(include_str!("scripts/gcra.lua")),
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A limit of this name; all replicas that say the same name and numbers share it. Of the
    /// settings, `max_bytes` is Redis's own to bound.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] when a number is out of range, or a sliding window is too large.
    pub fn limiter(
        &self,
        name: &str,
        settings: &Settings,
        algorithm: Algorithm,
    ) -> Result<Arc<dyn SharedLimiter>, InvalidQuota> {
        let quota = Quota::try_new(&self.shared.options.prefix, name, settings, algorithm)?;
        Ok(Arc::new(RedisLimiter { redis: self.clone(), quota }))
    }

    /// Whether the server answered of late, for health: false while it is left alone because it
    /// failed, true before the first call.
    pub fn is_reachable(&self) -> bool {
        self.shared.breaker.state(Instant::now().into_std()) == State::Closed
    }

    async fn ask(&self, quota: &Quota, client: &str) -> Result<Decision, Unavailable> {
        let Shared { options, breaker, in_flight, .. } = &*self.shared;
        let busy = |_| Unavailable::Busy { in_flight: options.in_flight };
        let _one = in_flight.try_acquire().map_err(busy)?;
        let permit = breaker
            .admit(Instant::now().into_std())
            .map_err(|open| Unavailable::Resting { retry_after: open.retry_after })?;
        let key = quota.key(client);
        let answer = self.shared.run(quota, &key).await;
        let outcome = if answer.is_ok() { Outcome::Success } else { Outcome::Failure };
        permit.record(Instant::now().into_std(), outcome);
        let (admitted, remaining, reset, retry_after) = answer?;
        let limit = quota.limit;
        let [reset, retry_after] = [reset, retry_after].map(Duration::from_micros);
        Ok(Decision::new(admitted == 1, limit, remaining, reset, retry_after))
    }
}

/// Admitted, remaining, and in microseconds reset and when to come back.
type Answer = (u32, u32, u64, u64);

impl Shared {
    /// Runs the limit's script: by its digest, and by its text if the server forgot it.
    async fn run(&self, quota: &Quota, key: &str) -> Result<Answer, Unavailable> {
        let deadline = Instant::now() + self.options.timeout;
        let late = Unavailable::TimedOut { after: self.options.timeout };
        let connected = tokio::time::timeout_at(deadline, self.link.connected()).await;
        let mut connected = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(Unavailable::Failed(error)),
            Err(_) => return Err(late),
        };
        let (lua, first, second) = match quota.script {
            Script::SlidingWindow { window } => {
                (&self.sliding_window, u64::from(quota.limit), window)
            }
            Script::Gcra { interval, tolerance } => (&self.gcra, interval, tolerance),
        };
        let mut call = lua.key(key);
        call.arg(first).arg(second);
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = timeout(left, call.invoke_async(&mut connected.connection)).await;
        // Whatever went wrong, a fresh connection cannot be worse; the breaker bounds how often.
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.link.discard(&connected);
                Err(Unavailable::Failed(Arc::new(error)))
            }
            Err(_) => {
                self.link.discard(&connected);
                Err(late)
            }
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// One limit on the server.
#[derive(Debug)]
struct RedisLimiter {
    redis: Redis,
    quota: Quota,
}

#[async_trait]
impl SharedLimiter for RedisLimiter {
    async fn check(&self, client: &str) -> Result<Decision, Unavailable> {
        self.redis.ask(&self.quota, client).await
    }

    fn limit(&self) -> u32 {
        self.quota.limit
    }

    fn window(&self) -> Duration {
        self.quota.window
    }
}
