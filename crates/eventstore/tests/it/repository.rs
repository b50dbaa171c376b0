//! Commands, from loading to appending.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::{Code, Context, TraceContext};
use regatta_events::CloudEvent;
use regatta_eventstore::{
    Append, AppendError, Appended, Cause, EventStore, ExecuteError, Executed, Expected, Filter,
    LoadError, MemoryStore, NewEvent, Outbox, Page, Position, Range, Recorded, Repository, Retries,
    Snapshot, StoreError, StreamId, StreamInfo, SubjectId, Version,
};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::account::{Account, Command, Event, TooLittle, deposited};

#[tokio::test]
async fn a_command_is_decided_on_what_happened_before() {
    let (accounts, _) = accounts();
    let done = execute(&accounts, Command::Deposit(50)).await.unwrap();
    assert_eq!((done.version.get(), done.events), (1, vec![deposited(50)]));
    let done = execute(&accounts, Command::Withdraw(20)).await.unwrap();
    assert_eq!((done.version.get(), done.aggregate.balance, done.attempts), (2, 30, 1));
    assert_eq!(accounts.load("1").await.unwrap().aggregate, done.aggregate);
    let idle = execute(&accounts, Command::FillUpTo(30)).await.unwrap();
    assert_eq!((idle.version.get(), idle.position), (2, None));
}

#[tokio::test]
async fn a_refusal_is_the_aggregates_own() {
    let (accounts, _) = accounts();
    let error = execute(&accounts, Command::Withdraw(20)).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&TooLittle { balance: 0 }));
    assert_eq!(error.code(), Code::FailedPrecondition);
    let wrong = accounts.load("a b").await;
    assert!(matches!(wrong, Err(LoadError::Id(_))), "{wrong:?}");
}

#[tokio::test]
async fn writers_that_race_all_get_their_turn() {
    let (accounts, _) = accounts();
    let accounts = accounts.with_retries(Retries { most_attempts: 1000, ..Retries::default() });
    let mut writers = JoinSet::new();
    for _ in 0..20 {
        let accounts = accounts.clone();
        writers.spawn(async move { execute(&accounts, Command::Deposit(1)).await.unwrap() });
    }
    writers.join_all().await;
    let loaded = accounts.load("1").await.unwrap();
    assert_eq!((loaded.aggregate.balance, loaded.version), (20, Version::new(20)));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_always_late_gives_up_and_says_so() {
    let store = Arc::new(Meddler::default());
    let accounts = Repository::<Account>::new(store);
    let retries = Retries { most_attempts: 3, ..Retries::default() };
    let error = execute(&accounts.with_retries(retries), Command::Deposit(1)).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Contended { attempts: 3 }), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(error.code(), Code::Aborted);
}

#[tokio::test]
async fn a_command_with_an_id_is_done_once() {
    let (accounts, store) = accounts();
    let cause = Cause { command_id: Some(Uuid::from_u128(7)), ..Cause::default() };
    let first = accounts.execute("1", &Command::Deposit(50), &cause).await.unwrap();
    let again = accounts.execute("1", &Command::Deposit(50), &cause).await.unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!((again.aggregate.balance, again.version.get()), (50, 1));
    let elsewhere = accounts.execute("2", &Command::Deposit(50), &cause).await;
    assert!(matches!(elsewhere, Err(ExecuteError::Append(_))), "{elsewhere:?}");
    let metadata = &events(&store).await[0].metadata;
    assert_eq!(metadata.causation_id, Some(Uuid::from_u128(7).to_string()));
}

#[tokio::test]
async fn events_carry_the_trace_and_the_cause() {
    let (accounts, store) = accounts();
    let cause = Cause {
        command_id: None,
        correlation_id: Some("order-1".into()),
        causation_id: Some("message-9".into()),
    };
    let mut context = Context::default();
    context.trace = TraceContext::try_new(1, 2, true);
    let command = Command::Deposit(1);
    Arc::new(context).scope(accounts.execute("1", &command, &cause)).await.unwrap();
    let metadata = &events(&store).await[0].metadata;
    assert_eq!(metadata.correlation_id.as_deref(), Some("order-1"));
    assert_eq!(metadata.causation_id.as_deref(), Some("message-9"));
    let trace = format!("00-{:032x}-{:016x}-01", 1, 2);
    assert_eq!(metadata.traceparent, Some(trace));
}

#[tokio::test]
async fn a_snapshot_spares_the_events_before_it_and_changes_nothing() {
    let (accounts, store) = accounts();
    let accounts = accounts.with_snapshots(NonZeroU64::new(3).unwrap());
    for amount in 1..=7 {
        execute(&accounts, Command::Deposit(amount)).await.unwrap();
    }
    let loaded = accounts.load("1").await.unwrap();
    assert_eq!((loaded.snapshot, loaded.version), (Version::new(6), Version::new(7)));
    let replayed = Repository::<Account>::new(Arc::new(store)).load("1").await.unwrap();
    assert_eq!(replayed.aggregate, loaded.aggregate);
    assert_eq!(replayed.snapshot, Version::NONE);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_costs_time_only() {
    let (accounts, store) = accounts();
    execute(&accounts, Command::Deposit(5)).await.unwrap();
    let stream = StreamId::try_new("account", 1).unwrap();
    let (version, state) = (Version::new(1), json!("another form"));
    let snapshot = Snapshot { stream, version, revision: 1, state };
    store.save_snapshot(&snapshot).await.unwrap();
    let accounts = accounts.with_snapshots(NonZeroU64::new(3).unwrap());
    assert_eq!(accounts.load("1").await.unwrap().aggregate.balance, 5);
}

#[tokio::test]
async fn the_past_is_loaded_as_it_was() {
    let (accounts, store) = accounts();
    for amount in [1, 2, 4] {
        execute(&accounts, Command::Deposit(amount)).await.unwrap();
    }
    let two = accounts.load_version("1", Version::new(2)).await.unwrap();
    assert_eq!((two.aggregate.balance, two.version), (3, Version::new(2)));
    let first = events(&store).await[0].recorded_at;
    let before = accounts.load_as_of("1", first - Duration::from_secs(1)).await.unwrap();
    assert_eq!(before.version, Version::NONE);
    let now = accounts.load_as_of("1", first + Duration::from_secs(3600)).await.unwrap();
    assert_eq!(now.aggregate.balance, 7);
}

#[tokio::test]
async fn old_events_are_read_in_todays_form() {
    let (accounts, store) = accounts();
    let old = NewEvent::new(Uuid::now_v7(), "Deposited", json!({ "amount": 5 }));
    let gone = NewEvent::new(Uuid::now_v7(), "Audited", json!("whatever"));
    let later = NewEvent { revision: 3, ..NewEvent::new(Uuid::now_v7(), "Deposited", json!({})) };
    let stream = StreamId::try_new("account", 1).unwrap();
    store.append(&Append::new(stream.clone(), Expected::Any, vec![old, gone])).await.unwrap();
    let loaded = accounts.load("1").await.unwrap();
    assert_eq!((loaded.aggregate.balance, loaded.aggregate.events), (5, 1));
    assert_eq!(loaded.version, Version::new(2), "what is left out still counts");
    store.append(&Append::new(stream, Expected::Any, vec![later])).await.unwrap();
    let error = accounts.load("1").await.unwrap_err();
    assert!(matches!(error, LoadError::Decode(_)), "{error:?}");
}

#[tokio::test]
async fn a_forgotten_person_is_missing_from_the_aggregate() {
    let (accounts, store) = accounts();
    execute(&accounts, Command::Open("Ada")).await.unwrap();
    let ada = SubjectId::try_new("owner-3").unwrap();
    assert_eq!(accounts.load("1").await.unwrap().aggregate.owner.as_deref(), Some("Ada"));
    assert!(store.erase(&ada).await.unwrap());
    let loaded = accounts.load("1").await.unwrap();
    assert_eq!((loaded.aggregate.owner, loaded.version.get()), (None, 1));
}

#[tokio::test]
async fn messages_go_into_the_outbox_with_their_events() {
    let (accounts, store) = accounts();
    let accounts = accounts.with_publisher(|stream, new, event| {
        let Event::Withdrawn { amount } = event else { return None };
        let message = CloudEvent::try_new(new.id.to_string(), "/accounts", "account.withdrawn");
        let message = message.unwrap().with_json(json!({ "amount": amount }));
        message.with_extension(CloudEvent::PARTITION_KEY, stream.as_str()).ok()
    });
    execute(&accounts, Command::Deposit(5)).await.unwrap();
    execute(&accounts, Command::Withdraw(2)).await.unwrap();
    let outbox: &dyn Outbox = &store;
    let limit = Duration::from_secs(1);
    let queued = outbox.claim(Uuid::new_v4(), limit, 10).await.unwrap().unwrap();
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0].event.id(), events(&store).await[1].id.to_string());
    assert_eq!(queued[0].event.partition_key(), Some("account-1"));
}

#[tokio::test]
async fn a_message_tells_when_it_happened_unless_its_publisher_says_so() {
    let own = time::OffsetDateTime::from_unix_timestamp(1_750_000_000).unwrap();
    let begun = time::OffsetDateTime::now_utc();
    let (accounts, store) = accounts();
    let accounts = accounts.with_publisher(move |stream, new, event| {
        let message = new.to_message(stream, "/accounts", "account.changed").unwrap();
        Some(match event {
            Event::Withdrawn { .. } => message.with_time(own),
            _ => message,
        })
    });
    execute(&accounts, Command::Deposit(5)).await.unwrap();
    execute(&accounts, Command::Withdraw(2)).await.unwrap();
    let outbox: &dyn Outbox = &store;
    let queued = outbox.claim(Uuid::new_v4(), Duration::from_secs(1), 10).await.unwrap().unwrap();
    let times: Vec<_> = queued.iter().map(|queued| queued.event.time().unwrap()).collect();
    assert!(times[0] >= begun - Duration::from_millis(1), "{times:?}");
    assert_eq!(times[1], own);
}

/// A store in which another writer is always faster.
#[derive(Debug, Default)]
struct Meddler(MemoryStore);

#[async_trait::async_trait]
impl EventStore for Meddler {
    async fn append(&self, append: &Append) -> Result<Appended, AppendError> {
        let event = NewEvent::new(Uuid::now_v7(), "Audited", json!({}));
        self.0.append(&Append::new(append.stream.clone(), Expected::Any, vec![event])).await?;
        self.0.append(append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        range: Range,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.0.read_stream(stream, range, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.0.read_all(after, filter, limit).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Recorded>, StoreError> {
        self.0.find(id).await
    }

    async fn streams(
        &self,
        category: Option<&str>,
        after: Option<&StreamId>,
        limit: u32,
    ) -> Result<Vec<StreamInfo>, StoreError> {
        self.0.streams(category, after, limit).await
    }

    async fn snapshot(
        &self,
        stream: &StreamId,
        revision: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.0.snapshot(stream, revision).await
    }

    async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.0.save_snapshot(snapshot).await
    }

    async fn checkpoint(&self, name: &str) -> Result<Position, StoreError> {
        self.0.checkpoint(name).await
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Position,
        to: Position,
    ) -> Result<bool, StoreError> {
        self.0.move_checkpoint(name, from, to).await
    }

    async fn erase(&self, subject: &SubjectId) -> Result<bool, StoreError> {
        self.0.erase(subject).await
    }

    async fn wait(&self, after: Position) {
        self.0.wait(after).await;
    }
}

fn accounts() -> (Repository<Account>, MemoryStore) {
    let store = MemoryStore::default();
    (Repository::new(Arc::new(store.clone())), store)
}

async fn execute(
    accounts: &Repository<Account>,
    command: Command,
) -> Result<Executed<Account>, ExecuteError<TooLittle>> {
    accounts.execute("1", &command, &Cause::default()).await
}

async fn events(store: &MemoryStore) -> Vec<Recorded> {
    let stream = StreamId::try_new("account", 1).unwrap();
    store.read_stream(&stream, Range::default(), 100).await.unwrap()
}
