//! A follower does each event, in order, and goes on where it was.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use regatta_eventstore::{
    Append, EventStore, Expected, Filter, Follow, Follower, MemoryStore, NewEvent, Recorded,
    StreamId,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

#[tokio::test(start_paused = true)]
async fn each_event_is_done_in_order_and_none_before_one_that_fails() {
    let store = MemoryStore::default();
    append(&store, "order", 3).await;
    let mut running = Running::start(&store, Some(2));
    running.expect(&[1, 2, 2, 3]).await;
    append(&store, "other", 1).await;
    append(&store, "order", 1).await;
    running.expect(&[5]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_where_it_was() {
    let store = MemoryStore::default();
    append(&store, "order", 150).await;
    let mut running = Running::start(&store, None);
    running.expect(&(1..=150).collect::<Vec<_>>()).await;
    running.stop().await;
    append(&store, "order", 1).await;
    let mut running = Running::start(&store, None);
    running.expect(&[151]).await;
    running.stop().await;
    assert_eq!(store.checkpoint("follower").await.unwrap().get(), 151);
}

struct Running {
    done: mpsc::Receiver<u64>,
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    fn start(store: &MemoryStore, fails_once_at: Option<u64>) -> Self {
        let (sender, done) = mpsc::channel(1000);
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let follow = Sends { sender, fails_once_at: std::sync::Mutex::new(fails_once_at) };
        let filter = Filter::category("order");
        let follower = Follower::new(Arc::new(store.clone()), "follower", filter, follow);
        tasks.spawn(follower.run(drain.clone()));
        Self { done, drain, tasks }
    }

    async fn expect(&mut self, positions: &[u64]) {
        for position in positions {
            assert_eq!(self.done.recv().await, Some(*position));
        }
    }

    async fn stop(mut self) {
        self.drain.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.done.recv().await, None, "nothing more was done");
    }
}

struct Sends {
    sender: mpsc::Sender<u64>,
    fails_once_at: std::sync::Mutex<Option<u64>>,
}

#[async_trait]
impl Follow for Sends {
    async fn follow(&self, event: &Recorded) -> Result<(), Box<dyn Error + Send + Sync>> {
        let position = event.position.get();
        self.sender.send(position).await.unwrap();
        let mut fails = self.fails_once_at.lock().unwrap();
        if fails.take_if(|at| *at == position).is_some() { Err("once".into()) } else { Ok(()) }
    }
}

async fn append(store: &MemoryStore, category: &str, count: usize) {
    let events = (0..count).map(|_| NewEvent::new(Uuid::now_v7(), "Happened", json!({})));
    let stream = StreamId::try_new(category, 1).unwrap();
    store.append(&Append::new(stream, Expected::Any, events.collect())).await.unwrap();
}
