//! What an author writes: an aggregate and its events.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{SubjectId, Upcasters};

/// Decides on commands; its state is the fold of its events.
///
/// Both functions are pure: what they need (the time, a price) comes in the command. They know no
/// database and no HTTP, so a domain may hold them.
pub trait Aggregate: Default + Send + Sync + 'static {
    /// The category of its streams, such as `order`.
    const CATEGORY: &'static str;
    /// The revision of its form in snapshots; count it up when the form changes, and old snapshots
    /// are left alone.
    const SNAPSHOT_REVISION: u32 = 1;
    /// What happens to it.
    type Event: DomainEvent;
    /// What may be asked of it.
    type Command: Sync;
    /// Why it refuses.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes an event that has happened; it cannot be refused any more.
    fn apply(&mut self, event: &Self::Event);

    /// Decides: what happens, or why not. No events means that there is nothing to do.
    ///
    /// # Errors
    ///
    /// The aggregate's own reason.
    fn handle(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// How events that older releases wrote become those of today.
    fn upcasters() -> Upcasters {
        Upcasters::default()
    }
}

/// The events of an aggregate: an enum whose variants are the types.
///
/// They are written with serde's `#[serde(tag = "type", content = "data")]`; [`crate::given`] finds
/// an enum without it.
pub trait DomainEvent: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The revision of a type's data today; default 1.
    fn revision(_event_type: &str) -> u32 {
        1
    }

    /// Which members of the data are about which person; default none.
    ///
    /// Once the person is erased these members are missing, so they must be `Option` or have
    /// `#[serde(default)]`.
    fn personal(&self) -> Option<PersonalMembers> {
        None
    }
}

/// Members of an event's data that are about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalMembers {
    /// The person.
    pub subject: SubjectId,
    /// The members' names as they are serialised.
    pub members: &'static [&'static str],
}
