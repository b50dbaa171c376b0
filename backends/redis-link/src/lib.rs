//! The one connection to Redis: made when it is needed, thrown away when it fails.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio_util::task::TaskTracker;

/// Makes the connection and hands out clones of it; a caller that finds it broken discards it.
pub struct Link {
    client: Client,
    connect_timeout: Duration,
    state: Mutex<State>,
    /// Connections are made in tasks of their own, since callers wait less long than that takes.
    /// Each ends by itself after the connect timeout, so nobody has to wait for them.
    tasks: TaskTracker,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the client, whose address may hold a password.
        f.debug_struct("Link")
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// The connection, or what will be it; none when the next caller makes one.
    connection: Option<Connecting>,
    /// Tells connections apart, so that a late failure of an old one does not end the new one.
    number: u64,
}

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, Arc<RedisError>>>>;

/// A connection that was made, and which one it is.
#[derive(Debug)]
pub struct Connected {
    /// One of many handles: a clone uses the same connection.
    pub connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    /// Makes no connection yet; each that is made may take this long.
    pub fn new(client: Client, connect_timeout: Duration) -> Self {
        Self { client, connect_timeout, state: Mutex::default(), tasks: TaskTracker::new() }
    }

    /// The connection; made if there is none. All who ask meanwhile wait for the same one.
    ///
    /// # Errors
    ///
    /// What Redis or the way to it said, to all who wait; the next who asks tries anew.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection goes on being made, for the next who asks.
    pub async fn connected(&self) -> Result<Connected, Arc<RedisError>> {
        let (number, connecting) = {
            let mut state = self.lock();
            if state.connection.is_none() {
                state.number += 1;
                state.connection = Some(self.connect());
            }
            (state.number, state.connection.clone())
        };
        let Some(connecting) = connecting else { unreachable!("it was just put there") };
        match connecting.await {
            Ok(connection) => Ok(Connected { connection, number }),
            Err(error) => {
                self.forget(number);
                Err(error)
            }
        }
    }

    /// Throws this connection away, if it is still the one in use.
    pub fn discard(&self, connected: &Connected) {
        self.forget(connected.number);
    }

    fn forget(&self, number: u64) {
        let mut state = self.lock();
        if state.number == number {
            state.connection = None;
        }
    }

    fn connect(&self) -> Connecting {
        // Callers have timeouts of their own; here one would only cut long waits twice.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None);
        let client = self.client.clone();
        let task = self.tasks.spawn(async move {
            client.get_multiplexed_async_connection_with_config(&config).await.map_err(Arc::new)
        });
        let connecting = async move {
            task.await.unwrap_or_else(|_| {
                // The runtime it was made on ended; the next caller makes one on his.
                Err(Arc::new(std::io::Error::other("the connecting task ended").into()))
            })
        };
        connecting.boxed().shared()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // One assignment leaves nothing half-made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
