//! The bus in a service's hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regatta_core::ServiceName;
use regatta_database::Database;
use regatta_events::{
    BusError, CloudEvent, Consumer, EventBus, Handler, InvalidEvent, Subscription,
};
use regatta_eventstore::{Outbox, Relay, RelaySettings};
use regatta_eventstore_sql::SqlStore;
use regatta_telemetry::Telemetry;
use regatta_telemetry::opentelemetry::KeyValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::bus::{TracedBus, traced};
use super::observed::Observed;
use super::{open, samples};
use crate::health::Dependency;
use crate::tasks::Tasks;
use crate::{Result, Service};

/// How long the messages of a relay that was killed wait for another one; publishing a batch of a
/// hundred takes a hundredth of that.
const RELAY_LEASE: Duration = Duration::from_secs(5);

/// The event bus of a service: it publishes, and runs handlers as tasks that shutdown waits for.
/// Clones share it.
///
/// ```
/// use regatta::events::{GroupName, Start, Subscription, handler};
/// use regatta::{Config, Service};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = Config::builder().yaml("config.yaml", "events: { url: 'memory:' }").build()?;
/// # let service = Service::builder("user-service").config(config).quiet().build().await?;
/// let events = service.events()?;
/// let mut welcome = Subscription::new(GroupName::try_new("user-service-welcome")?);
/// welcome.start = Start::Beginning;
/// events.consume(welcome, handler(async |event| {
///     println!("welcome, {:?}", event.json());
///     Ok(())
/// }));
/// let created = events.event("user.created")?.with_json(serde_json::json!({ "user_id": 1 }));
/// events.publish(&[created]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Events {
    bus: Arc<dyn EventBus>,
    service: ServiceName,
    tasks: Tasks,
    telemetry: Telemetry,
}

impl Service {
    /// The event bus, by `events.url` (`EVENTS_URL`): `sqlite:` for all processes of one machine,
    /// `postgres:` or `nats:` (feature `nats`) for several machines, `memory:` for this process; without it a SQLite file at
    /// `.regatta/data/events/events.db`. Connects to nothing yet: a bus that is away makes `/health`
    /// say so and the service no less ready, and its consumers and relays heal by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Events`](crate::Error::Events) when the URL is none.
    pub fn events(&self) -> Result<Events> {
        if let Some(events) = self.events.get() {
            return Ok(events.clone());
        }
        let options = self.settings.pools.options(self.name.as_str());
        let url = self.settings.events.url.as_ref().map(regatta_core::Secret::expose);
        let nats = &self.settings.nats;
        let opened = open::open(url, nats, &options).map_err(|error| self.refuse(error))?;
        let bus: Arc<dyn EventBus> = Arc::new(TracedBus::new(opened.bus, &self.telemetry));
        let events = Events {
            bus: bus.clone(),
            service: self.name.clone(),
            tasks: self.tasks.clone(),
            telemetry: self.telemetry.clone(),
        };
        // Of two threads that open it at once, one does.
        if self.events.set(events.clone()).is_ok() {
            opened.database.into_iter().for_each(|database| self.closes(database));
            self.depend(Dependency::new("events", false, move || {
                let bus = bus.clone();
                async move { bus.probe().await.map_err(|error| tell(&error)) }
            }));
        }
        Ok(self.events.get().cloned().unwrap_or(events))
    }

    /// Closes this database at the end.
    pub(crate) fn closes(&self, database: Database) {
        // A push leaves the list whole, whoever panicked.
        let databases = self.databases.lock();
        databases.unwrap_or_else(std::sync::PoisonError::into_inner).push(database);
    }
}

impl Events {
    /// The bus itself, for history, replay and dead letters.
    pub fn bus(&self) -> Arc<dyn EventBus> {
        self.bus.clone()
    }

    /// A new event of this service: an id of its own, the time, the trace and the request that it
    /// belongs to. Its source is the service's name after a `/`.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when `event_type` is empty or holds a control character.
    pub fn event(&self, event_type: &str) -> std::result::Result<CloudEvent, InvalidEvent> {
        let (id, source) = (Uuid::now_v7().to_string(), format!("/{}", self.service));
        let event = CloudEvent::try_new(id, source, event_type)?;
        Ok(traced(event.with_time(OffsetDateTime::now_utc())))
    }

    /// Gives events to the bus, all or none. A service with a database puts them into its outbox
    /// instead ([`Events::relay`]), so that they go out if and only if what they tell of happened.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the bus is away: it may have taken them, and publishing the
    /// same events again is safe.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have published. Publishing again is safe.
    pub async fn publish(&self, events: &[CloudEvent]) -> std::result::Result<(), BusError> {
        self.bus.publish(events).await
    }

    /// Handles what this subscription asks for, as a task of the service: in a span and measured
    /// (`messaging.process.duration`), with how far its group is as gauges, asked for every 10 s:
    /// `regatta.events.behind` (not handed to the group yet), `regatta.events.open` (under way, or
    /// waiting) and `regatta.events.dead_letters`. It begins with the next turn of the runtime, tries
    /// again while the bus is away, and at drain finishes what is under way.
    pub fn consume<H: Handler>(&self, subscription: Subscription, handler: H) {
        let group = subscription.group.clone();
        let handler = Observed::new(handler, group.clone(), &self.telemetry);
        let consumer = Consumer::new(self.bus.clone(), subscription, handler);
        self.tasks.spawn("consumer", |drain| async move {
            if let Err(error) = consumer.run(drain).await {
                let error = regatta_core::Chain(&error);
                tracing::error!(%error, "a consumer cannot run; its settings are wrong");
            }
        });
        let gauge = |name, description| samples::gauge(&self.telemetry, name, description);
        let gauges = [
            gauge("regatta.events.behind", "Events of the log not handed to the group yet"),
            gauge("regatta.events.open", "Events that the group handles, or that wait for it"),
            gauge("regatta.events.dead_letters", "Events that the group has given up"),
        ];
        let attributes = vec![KeyValue::new("messaging.consumer.group.name", group.to_string())];
        let bus = self.bus.clone();
        let ask = move || {
            let (bus, group) = (bus.clone(), group.clone());
            async move {
                let standing = bus.standing(&group).await?;
                Ok::<_, BusError>([standing.behind, standing.open, standing.dead])
            }
        };
        self.tasks.spawn("standing", |drain| samples::run(gauges, attributes, drain, ask));
    }

    /// Publishes what is in the store's outbox, in order, at least once, as a task of the service.
    /// Each replica may run one; when the one that has the turn is killed, another takes over within
    /// 5 s. What waits is the gauge `regatta.outbox.waiting`.
    pub fn relay(&self, store: &SqlStore) {
        let outbox: Arc<dyn Outbox> = Arc::new(store.clone());
        let mut settings = RelaySettings::default();
        settings.lease = RELAY_LEASE;
        let relay = Relay::new(outbox.clone(), self.bus.clone(), settings);
        self.tasks.spawn("relay", |drain| async move {
            if let Err(error) = relay.run(drain).await {
                tracing::error!(%error, "a relay cannot run; its settings are wrong");
            }
        });
        let gauge = samples::gauge(
            &self.telemetry,
            "regatta.outbox.waiting",
            "Messages that are not published yet",
        );
        let ask = move || {
            let outbox = outbox.clone();
            async move { outbox.backlog().await.map(|(waiting, _)| [waiting]) }
        };
        self.tasks.spawn("outbox", |drain| samples::run([gauge], Vec::new(), drain, ask));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("service", &self.service).finish_non_exhaustive()
    }
}

fn tell(error: &BusError) -> String {
    regatta_core::Chain(error).to_string()
}
