//! A consumer: one handler's failure is its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use regatta_core::Context;
use regatta_events::{
    CloudEvent, Consumer, EventBus, Failure, GroupName, Handler, MemoryBus, Start, Subscription,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_or_panics_is_tried_again_and_harms_no_other() {
    let mut running = Running::start(|event, delivery| match (event.id(), delivery) {
        ("panics", 1) => panic!("expected by this test"),
        ("fails", 1) => Err(Failure::Retry("once".into())),
        ("poison", _) => Err(Failure::Reject("always".into())),
        _ => Ok(()),
    });
    running.publish(&["panics", "fails", "poison", "fine"]).await;
    let mut handled = Vec::new();
    for _ in 0..3 {
        handled.push(running.handled.recv().await.unwrap());
    }
    handled.sort();
    assert_eq!(handled, ["fails", "fine", "panics"]);
    let dead = running.bus.dead_letters(&group(), 0, 10).await.unwrap();
    assert_eq!(dead[0].reason, "always");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_pauses_while_what_it_needs_is_away_and_gives_up_no_event() {
    let begun = Instant::now();
    let tried = Arc::new(Mutex::new(Vec::new()));
    let tries = tried.clone();
    let mut running = Running::start(move |_, delivery| {
        tries.lock().unwrap().push((begun.elapsed().as_secs(), delivery));
        match begun.elapsed() < Duration::from_secs(3600) {
            true => Err(Failure::Away("the database does not answer".into())),
            false => Ok(()),
        }
    });
    running.publish(&["1", "2", "3"]).await;
    for _ in 0..3 {
        running.handled.recv().await.unwrap();
    }
    assert!(running.bus.dead_letters(&group(), 0, 10).await.unwrap().is_empty());
    let tried = std::mem::take(&mut *tried.lock().unwrap());
    assert!(tried.iter().all(|(_, delivery)| *delivery == 1), "it does not count");
    let mut at: Vec<_> = tried.iter().map(|(at, _)| *at).collect();
    at.dedup();
    assert_eq!(at[..6], [0, 1, 3, 7, 15, 31]);
    assert!(at.len() < 150, "about every 30 s: {}", at.len());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_stopped_with_its_lease() {
    let bus = MemoryBus::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = Hangs { seen: seen.clone() };
    let drain = CancellationToken::new();
    let tasks = TaskTracker::new();
    let consumer = Consumer::new(Arc::new(bus.clone()), subscription(), handler);
    tasks.spawn(consumer.run(drain.clone()));
    bus.publish(&[event("slow")]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
    drain.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_runs_in_the_trace_of_what_caused_the_event() {
    let mut running = Running::start(|_, _| {
        let context = Context::current().unwrap();
        let trace = context.trace.as_ref().unwrap().trace_id_hex();
        if trace == TRACE[3..35] { Ok(()) } else { Err(Failure::Reject(trace)) }
    });
    running.publish(&["traced"]).await;
    assert_eq!(running.handled.recv().await.unwrap(), "traced");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_end_it_at_once() {
    let mut asks = subscription();
    asks.max_in_flight = 0;
    let consumer =
        Consumer::new(Arc::new(MemoryBus::default()), asks, Hangs { seen: Arc::default() });
    assert!(consumer.run(CancellationToken::new()).await.is_err());
}

struct Running {
    bus: MemoryBus,
    handled: mpsc::Receiver<String>,
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    fn start<F>(decide: F) -> Self
    where
        F: Fn(&CloudEvent, u32) -> Result<(), Failure> + Send + Sync + 'static,
    {
        let bus = MemoryBus::default();
        let (sender, handled) = mpsc::channel(100);
        let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
        let handler = Decides { decide, handled: sender };
        let consumer = Consumer::new(Arc::new(bus.clone()), subscription(), handler);
        tasks.spawn(consumer.run(drain.clone()));
        Self { bus, handled, drain, tasks }
    }

    async fn publish(&self, ids: &[&str]) {
        let events: Vec<_> = ids.iter().map(|id| event(id)).collect();
        self.bus.publish(&events).await.unwrap();
    }

    async fn stop(self) {
        self.drain.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Decides<F> {
    decide: F,
    handled: mpsc::Sender<String>,
}

#[async_trait]
impl<F> Handler for Decides<F>
where
    F: Fn(&CloudEvent, u32) -> Result<(), Failure> + Send + Sync + 'static,
{
    async fn handle(&self, event: &CloudEvent, delivery: u32) -> Result<(), Failure> {
        (self.decide)(event, delivery)?;
        self.handled.send(event.id().to_owned()).await.unwrap();
        Ok(())
    }
}

struct Hangs {
    seen: Arc<Mutex<Vec<u32>>>,
}

#[async_trait]
impl Handler for Hangs {
    async fn handle(&self, _: &CloudEvent, delivery: u32) -> Result<(), Failure> {
        self.seen.lock().unwrap().push(delivery);
        if delivery == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

fn group() -> GroupName {
    GroupName::try_new("consumer").unwrap()
}

fn subscription() -> Subscription {
    let mut asks = Subscription::new(group());
    asks.start = Start::Beginning;
    asks.lease = Duration::from_secs(10);
    asks
}

fn event(id: &str) -> CloudEvent {
    let event = CloudEvent::try_new(id, "/shop", "order.placed").unwrap();
    event.with_extension(CloudEvent::TRACEPARENT, TRACE).unwrap()
}
