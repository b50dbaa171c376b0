//! From a command to events, again and again while others are faster.

use aws_lc_rs::digest::{SHA256, digest};
use regatta_core::{Chain, Context, TraceContext};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ExecuteError, Loaded, Repository};
use crate::{
    Aggregate, Append, AppendError, Expected, Metadata, Position, Snapshot, StreamId, Version,
    encode,
};

/// Where a command comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Names the command: with the same id it is done once, however often it is sent.
    pub command_id: Option<Uuid>,
    /// What all events of the business transaction share.
    pub correlation_id: Option<String>,
    /// The id of the message that caused it; without one the command's own.
    pub causation_id: Option<String>,
}

/// A command that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed<A: Aggregate> {
    /// The aggregate afterwards.
    pub aggregate: A,
    /// Its version afterwards.
    pub version: Version,
    /// What happened; empty when there was nothing to do or it was done before.
    pub events: Vec<A::Event>,
    /// Where the last event lies among all, to wait for a projection; none without events.
    pub position: Option<Position>,
    /// The command was done before, under the same id.
    pub repeated: bool,
    /// How often it was tried.
    pub attempts: u32,
}

/// What a command comes to, decided and not yet appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<A: Aggregate> {
    /// What is to be appended, messages included; none when there is nothing to do.
    pub append: Option<Append>,
    /// The aggregate as it is once that is appended.
    pub aggregate: A,
    /// What happens.
    pub events: Vec<A::Event>,
}

impl<A: Aggregate> Repository<A> {
    /// Lets a loaded aggregate (`Loaded::default()` for one to which nothing has happened) decide,
    /// for a caller who appends in a transaction of its own. After a conflict load and decide anew;
    /// after the commit call [`Repository::committed`].
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Refused`] with the aggregate's reason; [`ExecuteError::Load`] when the id is
    /// none; [`ExecuteError::Encode`] when an event cannot be written.
    pub fn decide(
        &self,
        id: &str,
        loaded: Loaded<A>,
        command: &A::Command,
        cause: &Cause,
    ) -> Result<Decision<A>, ExecuteError<A::Error>> {
        let stream = StreamId::try_new(A::CATEGORY, id).map_err(super::LoadError::Id)?;
        let events = loaded.aggregate.handle(command).map_err(ExecuteError::Refused)?;
        let append = match events.is_empty() {
            true => None,
            false => Some(self.append_of(&stream, loaded.version, &events, cause)?),
        };
        let mut aggregate = loaded.aggregate;
        events.iter().for_each(|event| aggregate.apply(event));
        Ok(Decision { append, aggregate, events })
    }

    /// Keeps a snapshot when one is due after this decision, whose append was committed. Without it
    /// the next load is slower, and nothing else.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a snapshot that was not kept is kept after later events.
    pub async fn committed(&self, decision: &Decision<A>) {
        let Some(append) = &decision.append else { return };
        let Expected::Exactly(held) = append.expected else { return };
        let version = held.plus(append.events.len() as u64);
        self.keep_snapshot(append.stream.clone(), &decision.aggregate, (held, version)).await;
    }

    /// Loads the aggregate, lets it decide, and appends what it decided.
    ///
    /// When another writer was faster it starts over, after a short pause, so the command is decided
    /// on what is really there. The events carry the trace of the request that is being served.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Refused`] with the aggregate's reason; [`ExecuteError::Contended`] when others
    /// were faster every time. After an [`AppendError::Store`] the command may have been done: send
    /// it again with the same [`Cause::command_id`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped command may have been done. Sent again with the same id, it is
    /// done once.
    pub async fn execute(
        &self,
        id: &str,
        command: &A::Command,
        cause: &Cause,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        let stream = StreamId::try_new(A::CATEGORY, id).map_err(super::LoadError::Id)?;
        if self.is_done(&stream, cause).await? {
            return self.done_before(id, 1).await;
        }
        let mut attempt = 1;
        loop {
            let loaded = self.load(id).await?;
            let held = loaded.version;
            let events = loaded.aggregate.handle(command).map_err(ExecuteError::Refused)?;
            if events.is_empty() {
                return Ok(Executed {
                    aggregate: loaded.aggregate,
                    version: held,
                    events,
                    position: None,
                    repeated: false,
                    attempts: attempt,
                });
            }
            let append = self.append_of(&stream, held, &events, cause)?;
            match self.store.append(&append).await {
                // The command was sent twice at once, and the other one was faster.
                Ok(done) if done.repeated => return self.done_before(id, attempt).await,
                Ok(done) => {
                    let executed = folded(loaded, events, done.position, attempt);
                    let (aggregate, version) = (&executed.aggregate, executed.version);
                    self.keep_snapshot(stream, aggregate, (held, version)).await;
                    return Ok(executed);
                }
                Err(AppendError::Conflict { .. }) => {
                    let Some(pause) = self.retries.after(attempt, rand::random()) else {
                        return Err(ExecuteError::Contended { attempts: attempt });
                    };
                    tracing::debug!(%stream, attempt, "another writer was faster; deciding anew");
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                Err(error) => return Err(ExecuteError::Append(error)),
            }
        }
    }

    async fn is_done(
        &self,
        stream: &StreamId,
        cause: &Cause,
    ) -> Result<bool, ExecuteError<A::Error>> {
        let Some(command) = cause.command_id else { return Ok(false) };
        let first = event_id(command, 0);
        let found = self.store.find(first).await.map_err(super::LoadError::Store)?;
        match found {
            Some(event) if event.stream == *stream => Ok(true),
            Some(_) => Err(ExecuteError::Append(AppendError::IdTaken { id: first })),
            None => Ok(false),
        }
    }

    async fn done_before(
        &self,
        id: &str,
        attempts: u32,
    ) -> Result<Executed<A>, ExecuteError<A::Error>> {
        let Loaded { aggregate, version, .. } = self.load(id).await?;
        let events = Vec::new();
        Ok(Executed { aggregate, version, events, position: None, repeated: true, attempts })
    }

    fn append_of(
        &self,
        stream: &StreamId,
        held: Version,
        events: &[A::Event],
        cause: &Cause,
    ) -> Result<Append, ExecuteError<A::Error>> {
        let causation_id = cause.causation_id.clone();
        let metadata = Metadata {
            correlation_id: cause.correlation_id.clone(),
            causation_id: causation_id.or(cause.command_id.map(|id| id.to_string())),
            traceparent: current_trace(),
        };
        let now = OffsetDateTime::now_utc();
        let mut append = Append::new(stream.clone(), Expected::Exactly(held), Vec::new());
        for (number, event) in (0..).zip(events) {
            let id = cause.command_id.map_or_else(Uuid::now_v7, |id| event_id(id, number));
            let new = encode(event, id, metadata.clone())?;
            if let Some(publisher) = &self.publisher {
                let message = publisher(stream, &new, event);
                append.outbox.extend(message.map(|message| match message.time() {
                    Some(_) => message,
                    None => message.with_time(now),
                }));
            }
            append.events.push(new);
        }
        Ok(append)
    }

    /// Keeps a snapshot when one is due; without it the next load is slower and nothing else.
    async fn keep_snapshot(
        &self,
        stream: StreamId,
        aggregate: &A,
        (held, version): (Version, Version),
    ) {
        let Some(snapshots) = &self.snapshots else { return };
        let every = snapshots.every.get();
        if version.get() / every == held.get() / every {
            return;
        }
        let state = match (snapshots.write)(aggregate) {
            Ok(state) => state,
            Err(error) => {
                let error = Chain(&error);
                tracing::warn!(%stream, %error, "the aggregate does not serialise; no snapshot");
                return;
            }
        };
        let snapshot = Snapshot { stream, version, revision: A::SNAPSHOT_REVISION, state };
        if let Err(error) = self.store.save_snapshot(&snapshot).await {
            let (stream, error) = (snapshot.stream, Chain(&error));
            tracing::warn!(%stream, %error, "snapshot not kept");
        }
    }
}

fn folded<A: Aggregate>(
    loaded: Loaded<A>,
    events: Vec<A::Event>,
    position: Position,
    attempts: u32,
) -> Executed<A> {
    let Loaded { mut aggregate, version, .. } = loaded;
    events.iter().for_each(|event| aggregate.apply(event));
    let version = version.plus(events.len() as u64);
    let position = Some(position);
    Executed { aggregate, version, events, position, repeated: false, attempts }
}

/// The id of a command's event of this number, from 0: the same for each try of the command.
///
/// # Source
///
/// RFC 9562, section 5.8: version 8, here the first 122 bits of SHA-256 over command and number.
fn event_id(command: Uuid, number: u64) -> Uuid {
    let name = [command.as_bytes(), &number.to_be_bytes()[..]].concat();
    let hash = digest(&SHA256, &name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

fn current_trace() -> Option<String> {
    let context = Context::current()?;
    let mut text = [0; TraceContext::LENGTH];
    context.trace.as_ref()?.write_to(&mut text);
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_a_command_have_ids_of_their_own_that_stay() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(event_id(one, 0), event_id(one, 0));
        assert_ne!(event_id(one, 1), event_id(two, 0));
        assert_eq!(event_id(one, 7).get_version_num(), 8);
    }
}
