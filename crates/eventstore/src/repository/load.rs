//! From events, and a snapshot if there is one, to an aggregate.

use regatta_core::Chain;
use time::OffsetDateTime;

use super::{LoadError, Repository};
use crate::codec::decode_owned;
use crate::{Aggregate, Range, StreamId, Until, Version};

/// How many events are read at a time: an aggregate of a thousand takes one visit to the store.
const PAGE: u32 = 1024;

/// An aggregate at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<A> {
    /// Its state.
    pub aggregate: A,
    /// The last event that is in it; [`Version::NONE`] when nothing has happened to it yet.
    pub version: Version,
    /// The version of the snapshot it was made from; [`Version::NONE`] without one.
    pub snapshot: Version,
}

impl<A: Aggregate> Repository<A> {
    /// The aggregate as it is now; its default when nothing has happened to it.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when the id is none, the store fails, or an event has no form today.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn load(&self, id: &str) -> Result<Loaded<A>, LoadError> {
        let stream = StreamId::try_new(A::CATEGORY, id)?;
        let start = self.start(&stream).await?;
        self.replay(&stream, start, Until::End).await
    }

    /// The aggregate as it was with its event of this version.
    ///
    /// # Errors
    ///
    /// As [`Repository::load`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn load_version(&self, id: &str, version: Version) -> Result<Loaded<A>, LoadError> {
        let stream = StreamId::try_new(A::CATEGORY, id)?;
        self.replay(&stream, Loaded::default(), Until::Version(version)).await
    }

    /// The aggregate as it was at this time.
    ///
    /// # Errors
    ///
    /// As [`Repository::load`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    pub async fn load_as_of(&self, id: &str, time: OffsetDateTime) -> Result<Loaded<A>, LoadError> {
        let stream = StreamId::try_new(A::CATEGORY, id)?;
        self.replay(&stream, Loaded::default(), Until::Time(time)).await
    }

    /// The newest snapshot that can be read, or the very beginning.
    async fn start(&self, stream: &StreamId) -> Result<Loaded<A>, LoadError> {
        let Some(snapshots) = &self.snapshots else { return Ok(Loaded::default()) };
        let Some(held) = self.store.snapshot(stream, A::SNAPSHOT_REVISION).await? else {
            return Ok(Loaded::default());
        };
        match (snapshots.read)(held.state) {
            Ok(aggregate) => {
                Ok(Loaded { aggregate, version: held.version, snapshot: held.version })
            }
            Err(error) => {
                let error = Chain(&error);
                tracing::warn!(%stream, %error, "snapshot cannot be read; reading all events");
                Ok(Loaded::default())
            }
        }
    }

    async fn replay(
        &self,
        stream: &StreamId,
        start: Loaded<A>,
        until: Until,
    ) -> Result<Loaded<A>, LoadError> {
        let mut loaded = start;
        loop {
            let range = Range { after: loaded.version, until };
            let events = self.store.read_stream(stream, range, PAGE).await?;
            let is_last = events.len() < PAGE as usize;
            for recorded in events {
                let version = recorded.version;
                if let Some(event) = decode_owned(recorded, &self.upcasters)? {
                    loaded.aggregate.apply(&event);
                }
                loaded.version = version;
            }
            if is_last {
                return Ok(loaded);
            }
        }
    }
}

impl<A: Default> Default for Loaded<A> {
    fn default() -> Self {
        Self { aggregate: A::default(), version: Version::NONE, snapshot: Version::NONE }
    }
}
