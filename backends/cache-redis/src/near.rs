//! Copies in this process, and the messages that keep them up to date.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use redis::Msg;
use regatta_cache::MemoryCache;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::message::Message;
use crate::remote::Remote;

/// First and longest pause between two tries to listen.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often the server is asked whether it still hears us, and how long it may take: a connection
/// whose other end has vanished is noticed within three seconds.
const HEARTBEAT: Duration = Duration::from_secs(2);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);

/// Copies of what Redis holds.
#[derive(Debug)]
pub(crate) struct Near {
    pub(crate) memory: MemoryCache,
    pub(crate) ttl: Duration,
    is_listening: AtomicBool,
}

impl Near {
    pub(crate) fn new(ttl: Duration, bytes: usize) -> Self {
        let memory = MemoryCache::with_capacity(bytes);
        Self { memory, ttl, is_listening: AtomicBool::new(false) }
    }

    /// Whether the copies are up to date, but for messages under way.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::SeqCst)
    }

    fn set_listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::SeqCst);
    }
}

/// Listens until the end, and tells Redis of what is owed as soon as it is there.
pub(crate) async fn listen(remote: Arc<Remote>, near: Option<Arc<Near>>, end: CancellationToken) {
    let listening = async {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            // Whatever ended it, the next try tells; what Redis says about it is in the answers to
            // calls.
            let _ended = hear(&remote, near.as_deref()).await;
            if let Some(near) = &near {
                near.set_listening(false);
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    end.run_until_cancelled(listening).await;
}

/// Listens until the connection fails.
async fn hear(remote: &Remote, near: Option<&Near>) -> Result<(), redis::RedisError> {
    let late = |_| redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    let limit = remote.options.connect_timeout;
    let connecting = remote.client.get_async_pubsub();
    let (mut sink, mut messages) = timeout(limit, connecting).await.map_err(late)??.split();
    let subscribing = sink.subscribe(remote.names.channel());
    timeout(limit, subscribing).await.map_err(late)??;
    if let Some(near) = near {
        // What was said before is lost, so every copy may be out of date.
        near.memory.clear();
        near.set_listening(true);
    }
    remote.settle().await;
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => take(&message, remote, near),
                None => return Ok(()),
            },
            _ = heartbeat.tick() => {
                let ping = sink.ping::<redis::Value>();
                timeout(HEARTBEAT_TIMEOUT, ping).await.map_err(late)??;
                remote.settle().await;
            }
        }
    }
}

fn take(message: &Msg, remote: &Remote, near: Option<&Near>) {
    let Some(near) = near else { return };
    match Message::read(message.get_payload_bytes(), &remote.names) {
        Some((from, _)) if from == remote.me => (),
        Some((_, what)) => what.iter().for_each(|what| {
            near.memory.drop_entries(what);
        }),
        None => near.memory.clear(),
    }
}
