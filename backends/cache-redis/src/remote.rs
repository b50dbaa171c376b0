//! The calls to Redis: bounded, timed, given up for a moment when it is away.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError, Script};
use regatta_cache::{Begin, CacheError, Fill, Found, Invalidate, Key, NewEntry};
use regatta_redis_link::Link;
use regatta_resilience::breaker::{Breaker, Outcome, Settings as BreakerSettings};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::message::Message;
use crate::names::Names;
use crate::owed::Owed;
use crate::{InvalidOptions, Options};

/// How long a server that keeps failing is left alone before one call looks again.
const REST: Duration = Duration::from_secs(1);

/// How long the version of a key is remembered after an invalidation: twice as long as a fill may
/// take.
const VERSIONS_FOR: Duration = Fill::LONGEST.saturating_mul(2);

/// How many entries one step of an invalidation takes: a millisecond of Redis's time.
const STEP: usize = 500;

/// One Redis server.
pub(crate) struct Remote {
    pub(crate) options: Options,
    pub(crate) client: Client,
    pub(crate) names: Names,
    /// Who this process is, in messages.
    pub(crate) me: String,
    link: Link,
    breaker: Breaker,
    in_flight: Semaphore,
    owed: Owed,
    /// Held while paying, so that one does.
    settling: Mutex<()>,
    scripts: Scripts,
}

struct Scripts {
    begin: Script,
    fill: Script,
    put: Script,
    abandon: Script,
    invalidate_keys: Script,
    invalidate_tag: Script,
}

impl Remote {
    pub(crate) fn try_new(options: Options) -> Result<Self, InvalidOptions> {
        let client = Client::open(options.url.as_str()).map_err(InvalidOptions::Url)?;
        let settings = BreakerSettings::default().with_open_for(REST);
        Ok(Self {
            link: Link::new(client.clone(), options.connect_timeout),
            client,
            names: Names::new(&options.prefix),
            me: format!("{:016x}", rand::random::<u64>()),
            breaker: Breaker::try_new(settings).expect("the defaults and a second are in range"),
            in_flight: Semaphore::new(options.in_flight),
            owed: Owed::default(),
            settling: Mutex::new(()),
            scripts: Scripts {
                begin: Script::new(include_str!("scripts/begin.lua")),
                fill: Script::new(include_str!("scripts/fill.lua")),
                put: Script::new(include_str!("scripts/put.lua")),
                abandon: Script::new(include_str!("scripts/abandon.lua")),
                invalidate_keys: Script::new(include_str!("scripts/invalidate_keys.lua")),
                invalidate_tag: Script::new(include_str!("scripts/invalidate_tag.lua")),
            },
            options,
        })
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Bytes>, CacheError> {
        self.pay().await?;
        let get = redis::Cmd::get(self.names.value(key));
        let json: Option<Vec<u8>> = self
            .call(|mut connection| async move { get.query_async(&mut connection).await })
            .await?;
        Ok(json.map(Bytes::from))
    }

    /// The value, and how long it still lives.
    pub(crate) async fn get_with_ttl(
        &self,
        key: &Key,
    ) -> Result<Option<(Bytes, Duration)>, CacheError> {
        self.pay().await?;
        let name = self.names.value(key);
        let mut both = redis::pipe();
        both.get(&name).pttl(&name);
        let (json, left): (Option<Vec<u8>>, i64) = self
            .call(|mut connection| async move { both.query_async(&mut connection).await })
            .await?;
        // What another program wrote may live for ever; a copy does not.
        let left = u64::try_from(left).map_or(Duration::MAX, Duration::from_millis);
        Ok(json.map(|json| (Bytes::from(json), left)))
    }

    pub(crate) async fn begin(&self, key: &Key, lease: Duration) -> Result<Begin, CacheError> {
        self.pay().await?;
        let number = nonzero();
        let mut script = self.scripts.begin.key(self.names.value(key));
        script.key(self.names.version(key)).key(self.names.lease(key)).key(self.names.epoch());
        script.arg(number).arg(milliseconds(lease)).arg(nonzero());
        type Answer = (u8, Vec<u8>, Option<u64>, Option<u64>);
        let answer: Vec<redis::Value> = self
            .call(|mut connection| async move { script.invoke_async(&mut connection).await })
            .await?;
        let broken = |error: redis::ParsingError| CacheError::Unavailable(error.into());
        let answer = padded(answer);
        let (what, text, epoch, now): Answer = redis::from_redis_value(answer).map_err(broken)?;
        let parse = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
        Ok(match what {
            1 => Begin::Found(Found { json: Bytes::from(text), is_stale: false }),
            3 => Begin::Wait(Duration::from_millis(parse(&text).unwrap_or(1).max(1))),
            _ => Begin::Load(Fill {
                version: parse(&text).unwrap_or_default(),
                epoch: epoch.unwrap_or_default(),
                lease: number,
                begun_at: now.unwrap_or_default(),
            }),
        })
    }

    pub(crate) async fn fill(
        &self,
        key: &Key,
        fill: Fill,
        entry: &NewEntry,
    ) -> Result<bool, CacheError> {
        self.pay().await?;
        let mut script = self.scripts.fill.key(self.names.value(key));
        script.key(self.names.version(key)).key(self.names.lease(key)).key(self.names.epoch());
        for tag in &entry.tags {
            script.key(self.names.tag(tag));
        }
        script.arg(fill.version).arg(fill.epoch).arg(fill.lease).arg(fill.begun_at);
        script.arg(milliseconds(Fill::LONGEST)).arg(&entry.json[..]).arg(milliseconds(entry.ttl));
        self.call(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    pub(crate) async fn abandon(&self, key: &Key, fill: Fill) -> Result<(), CacheError> {
        let mut script = self.scripts.abandon.key(self.names.lease(key));
        script.arg(fill.lease);
        let _released: i64 = self
            .call(|mut connection| async move { script.invoke_async(&mut connection).await })
            .await?;
        Ok(())
    }

    pub(crate) async fn put(&self, key: &Key, entry: &NewEntry) -> Result<(), CacheError> {
        self.pay().await?;
        let name = self.names.value(key);
        let mut script = self.scripts.put.key(&name);
        script.key(self.names.version(key)).key(self.names.lease(key));
        for tag in &entry.tags {
            script.key(self.names.tag(tag));
        }
        script.arg(nonzero()).arg(milliseconds(VERSIONS_FOR));
        script.arg(&entry.json[..]).arg(milliseconds(entry.ttl));
        script.arg(self.names.channel()).arg(Message::names(&self.me, vec![name]));
        let _done: i64 = self
            .call(|mut connection| async move { script.invoke_async(&mut connection).await })
            .await?;
        Ok(())
    }

    pub(crate) async fn invalidate(&self, what: &Invalidate) -> Result<u64, CacheError> {
        match what {
            Invalidate::Keys(keys) => {
                let mut gone = 0;
                for keys in keys.chunks(STEP) {
                    gone += self.invalidate_keys(keys).await?;
                }
                Ok(gone)
            }
            Invalidate::Tag(tag) => {
                let mut gone = 0;
                loop {
                    let mut script = self.scripts.invalidate_tag.key(self.names.tag(tag));
                    script.key(self.names.epoch()).arg(nonzero()).arg(STEP);
                    script.arg(self.names.channel()).arg(&self.me);
                    let (step, names): (u64, Vec<String>) =
                        self.call(|mut connection| async move {
                            script.invoke_async(&mut connection).await
                        })
                        .await?;
                    gone += step;
                    if names.len() < STEP {
                        return Ok(gone);
                    }
                }
            }
            Invalidate::Pattern(pattern) => {
                let message = Message::pattern(&self.me, pattern);
                let mut begin = redis::pipe();
                begin.atomic().set(self.names.epoch(), nonzero()).ignore();
                // Now, for copies; at the end again, for copies that were made meanwhile.
                begin.publish(self.names.channel(), &message).ignore();
                let () = self
                    .call(|mut connection| async move { begin.query_async(&mut connection).await })
                    .await?;
                let gone = self.unlink_where(&self.names.glob(pattern)).await?;
                let end = redis::Cmd::publish(self.names.channel(), &message);
                let () = self
                    .call(|mut connection| async move { end.query_async(&mut connection).await })
                    .await?;
                Ok(gone)
            }
        }
    }

    async fn invalidate_keys(&self, keys: &[Key]) -> Result<u64, CacheError> {
        let Some(first) = keys.first() else { return Ok(0) };
        let mut script = self.scripts.invalidate_keys.key(self.names.value(first));
        script.key(self.names.version(first)).key(self.names.lease(first));
        for key in &keys[1..] {
            script.key(self.names.value(key));
            script.key(self.names.version(key)).key(self.names.lease(key));
        }
        let names = keys.iter().map(|key| self.names.value(key)).collect();
        script.arg(nonzero()).arg(milliseconds(VERSIONS_FOR));
        script.arg(self.names.channel()).arg(Message::names(&self.me, names));
        self.call(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// Takes the values whose name fits, page by page, so that Redis serves others meanwhile. What
    /// is there from before the first page is found.
    async fn unlink_where(&self, glob: &str) -> Result<u64, CacheError> {
        let (mut cursor, mut gone) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(glob).arg("COUNT").arg(STEP);
            let (next, names): (u64, Vec<String>) = self
                .call(|mut connection| async move { scan.query_async(&mut connection).await })
                .await?;
            let names: Vec<_> =
                names.into_iter().filter(|name| self.names.key(name).is_some()).collect();
            if !names.is_empty() {
                let unlink = redis::Cmd::unlink(names);
                let step: u64 = self
                    .call(|mut connection| async move { unlink.query_async(&mut connection).await })
                    .await?;
                gone += step;
            }
            if next == 0 {
                return Ok(gone);
            }
            cursor = next;
        }
    }

    pub(crate) async fn probe(&self) -> Result<(), CacheError> {
        let ping = redis::cmd("PING");
        let _pong: String = self
            .call(|mut connection| async move { ping.query_async(&mut connection).await })
            .await?;
        Ok(())
    }

    /// An invalidation that Redis has not been told of.
    pub(crate) fn owe(&self, what: Invalidate) {
        self.owed.push(what);
    }

    /// Tells Redis of what is owed, as far as it answers.
    pub(crate) async fn settle(&self) {
        if self.owed.is_any() {
            let _settling = self.settling.lock().await;
            self.settle_alone().await;
        }
    }

    async fn settle_alone(&self) {
        while let Some(what) = self.owed.first() {
            if self.invalidate(&what).await.is_err() {
                return;
            }
            self.owed.paid(&what);
        }
    }

    /// Nothing is asked and kept while an invalidation is owed: it could be of before.
    ///
    /// Who asks pays as far as the time of one call goes, if nobody else is paying; a pattern may
    /// take longer, and is left to who listens.
    async fn pay(&self) -> Result<(), CacheError> {
        if !self.owed.is_any() {
            return Ok(());
        }
        let Ok(_settling) = self.settling.try_lock() else { return Err(CacheError::Owes) };
        let _late = timeout(self.options.timeout, self.settle_alone()).await;
        if self.owed.is_any() { Err(CacheError::Owes) } else { Ok(()) }
    }

    async fn call<T, F>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> F + Send,
    ) -> Result<T, CacheError>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
    {
        let busy = |_| CacheError::Busy { waiting: self.options.in_flight };
        let _one = self.in_flight.try_acquire().map_err(busy)?;
        let admitted = self.breaker.admit(Instant::now().into_std());
        let permit = admitted.map_err(|open| CacheError::Unavailable(open.into()))?;
        let answer = self.ask(ask).await;
        // What the server itself refuses is an answer: a full memory, a wrong type of a key.
        let is_there = answer.as_ref().map_or_else(|error| error.code().is_some(), |_| true);
        let outcome = if is_there { Outcome::Success } else { Outcome::Failure };
        permit.record(Instant::now().into_std(), outcome);
        answer.map_err(|error| CacheError::Unavailable(error.into()))
    }

    async fn ask<T, F>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> F + Send,
    ) -> Result<T, Arc<RedisError>>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
    {
        let late =
            || Arc::new(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)));
        let deadline = Instant::now() + self.options.timeout;
        let connected = timeout_at(deadline, self.link.connected()).await;
        let connected = connected.map_err(|_| late())??;
        match timeout_at(deadline, ask(connected.connection.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if error.code().is_none() {
                    self.link.discard(&connected);
                }
                Err(Arc::new(error))
            }
            Err(_elapsed) => {
                self.link.discard(&connected);
                Err(late())
            }
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A number that is no other's; 0 means none.
fn nonzero() -> u64 {
    rand::random::<u64>().max(1)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The answers of `begin`, which differ in length, as four.
fn padded(mut answer: Vec<redis::Value>) -> redis::Value {
    answer.resize(4, redis::Value::Nil);
    redis::Value::Array(answer)
}
