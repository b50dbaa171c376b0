//! Given, when, then: an aggregate tested without a store.

use std::fmt::Debug;

use uuid::Uuid;

use crate::{
    Aggregate, Metadata, Position, Privacy, Recorded, StreamId, Upcasters, Version, decode, encode,
};

/// An aggregate to which something has happened.
///
/// ```
/// # use regatta_eventstore::{Aggregate, DomainEvent, given};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Default)] struct Door { is_open: bool }
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # #[serde(tag = "type", content = "data")] enum Event { Opened, Closed }
/// # impl DomainEvent for Event {}
/// # #[derive(Debug, PartialEq, thiserror::Error)] #[error("it is open")] struct IsOpen;
/// # enum Command { Open }
/// # impl Aggregate for Door {
/// #     const CATEGORY: &'static str = "door";
/// #     type Event = Event; type Command = Command; type Error = IsOpen;
/// #     fn apply(&mut self, event: &Event) { self.is_open = *event == Event::Opened; }
/// #     fn handle(&self, _: &Command) -> Result<Vec<Event>, IsOpen> {
/// #         if self.is_open { Err(IsOpen) } else { Ok(vec![Event::Opened]) }
/// #     }
/// # }
/// given::<Door>([Event::Opened, Event::Closed]).when(&Command::Open).then([Event::Opened]);
/// given::<Door>([Event::Opened]).when(&Command::Open).then_refused(&IsOpen);
/// ```
#[derive(Debug)]
#[must_use = "a scenario is nothing without its command"]
pub struct Given<A> {
    aggregate: A,
}

/// What the aggregate decided.
#[derive(Debug)]
#[must_use = "say what should have happened"]
pub struct Then<A: Aggregate> {
    decided: Result<Vec<A::Event>, A::Error>,
}

/// Begins a scenario with what has happened.
///
/// Each event goes through its stored form, so that one that cannot be stored is found here.
///
/// # Panics
///
/// When an event cannot be written or read back.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut aggregate = A::default();
    for event in events {
        aggregate.apply(&through_the_store::<A>(&event));
    }
    Given { aggregate }
}

impl<A: Aggregate> Given<A> {
    /// Sends the command.
    pub fn when(self, command: &A::Command) -> Then<A> {
        Then { decided: self.aggregate.handle(command) }
    }

    /// The aggregate itself, to look at its state.
    pub fn into_aggregate(self) -> A {
        self.aggregate
    }
}

impl<A: Aggregate> Then<A> {
    /// Exactly these events happen.
    ///
    /// # Panics
    ///
    /// When something else was decided, or an event cannot be stored.
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>)
    where
        A::Event: Debug + PartialEq,
    {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.decided {
            Ok(decided) => {
                assert_eq!(decided, expected, "the aggregate decided the left one");
                for event in &decided {
                    assert_eq!(through_the_store::<A>(event), *event, "stored as the left one");
                }
            }
            Err(reason) => panic!("refused with `{reason}`; expected {expected:?}"),
        }
    }

    /// Nothing happens, and that is fine.
    ///
    /// # Panics
    ///
    /// When something happens or the command is refused.
    pub fn then_nothing(self)
    where
        A::Event: Debug + PartialEq,
    {
        self.then([]);
    }

    /// The command is refused for this reason.
    ///
    /// # Panics
    ///
    /// When it is not, or for another one.
    pub fn then_refused(self, expected: &A::Error)
    where
        A::Event: Debug,
        A::Error: PartialEq,
    {
        match self.decided {
            Ok(decided) => panic!("decided {decided:?}; expected a refusal with `{expected}`"),
            Err(reason) => assert_eq!(reason, *expected, "refused with the left one"),
        }
    }
}

/// The event as it comes back from a store.
fn through_the_store<A: Aggregate>(event: &A::Event) -> A::Event {
    let new = encode(event, Uuid::nil(), Metadata::default())
        .unwrap_or_else(|error| panic!("the event cannot be stored: {error}"));
    let mut data = new.data;
    if let (Some(personal), Some(object)) = (new.personal, data.as_object_mut()) {
        object.extend(personal.members);
    }
    let stream = StreamId::try_new(A::CATEGORY, "1")
        .unwrap_or_else(|error| panic!("the aggregate's category is not valid: {error}"));
    let recorded = Recorded {
        position: Position::new(1),
        stream,
        version: Version::new(1),
        id: new.id,
        event_type: new.event_type,
        revision: new.revision,
        data,
        privacy: Privacy::None,
        metadata: new.metadata,
        recorded_at: time::OffsetDateTime::UNIX_EPOCH,
    };
    match decode(&recorded, &Upcasters::default()) {
        Ok(Some(event)) => event,
        Ok(None) => unreachable!("nothing is left out without upcasters"),
        Err(error) => panic!("the event cannot be read back: {error}"),
    }
}
