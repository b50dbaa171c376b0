//! How far a consumer group has come.

use crate::GroupName;

/// A consumer group and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    /// The group.
    pub group: GroupName,
    /// Up to where the log was handed to it.
    pub position: u64,
    /// How many numbers of the log lie after that; what its filter leaves out counts too, until it is
    /// passed over.
    pub behind: u64,
    /// How many events are being handled, or wait to be.
    pub open: u64,
    /// How many are dead letters.
    pub dead: u64,
}
