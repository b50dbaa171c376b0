//! Configuration kept in one place for all services: the port and what follows it.
//!
//! A [`ConfigCenter`] holds keys and values in one order of revisions. A [`Follower`] hears every
//! change of a prefix over outages; a [`Mirror`] keeps a prefix's last known state beside it.

mod item;
pub use item::{Batch, Change, Item, Snapshot};

mod commit;
pub use commit::{Commit, Committed, Expected, Write};

mod error;
pub use error::CenterError;

mod port;
pub use port::{ConfigCenter, Follow, History, LeaseId, Query, Which};

mod memory;
pub use memory::MemoryCenter;

mod known;
pub use known::{Known, TooMuch};

mod follower;
pub use follower::{Follower, Heard, Rhythm};

mod mirror;
pub use mirror::{Freshness, Mirror, MirrorHandle, View};

mod layout;
pub use layout::{InvalidPrefix, Layout, Place};

mod difference;
pub use difference::{Difference, Values, differences, roll_back};

mod journal;
pub use journal::{Journal, JournalChange, JournalEntry};

mod report;
pub use report::{RefusedRevision, Report};

mod handle;
pub use handle::Center;

#[cfg(feature = "conformance")]
pub mod conformance;
