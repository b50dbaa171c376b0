//! A command that a message asks for: inbox, events and outbox in one transaction.

use std::time::Duration;

use regatta_events::{CloudEvent, GroupName};
use regatta_eventstore::{Aggregate, AppendError, Cause, ExecuteError, Repository, StoreError};

use crate::engine::failed;
use crate::{Inbox, SqlStore};

/// How often a command is decided anew when another writer was faster, and how long apart.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);

impl SqlStore {
    /// Does the command that a message asks for, once however often the message comes: the inbox of
    /// `consumer`, the events and their messages are written in one transaction. Answers the
    /// aggregate, or none when the message was handled before, also when the command would be
    /// refused by now.
    ///
    /// The events carry the message's id as their cause, and its correlation id.
    ///
    /// # Errors
    ///
    /// As `Repository::execute`; nothing was written then, or the message is handled and comes again
    /// without effect.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may have done it. Call it again with the same message.
    pub async fn execute_once<A: Aggregate>(
        &self,
        repository: &Repository<A>,
        (consumer, message): (&GroupName, &CloudEvent),
        id: &str,
        command: &A::Command,
    ) -> Result<Option<A>, ExecuteError<A::Error>> {
        let cause = Self::caused_by(message);
        let store = |error: StoreError| ExecuteError::Append(AppendError::Store(error));
        for attempt in 1..=TRIES {
            let loaded = repository.load(id).await?;
            let decision = match repository.decide(id, loaded, command, &cause) {
                // What stands in the way may be what this message itself has done. An effect that
                // was loaded was committed with its entry in the inbox.
                Err(error) if error.refusal().is_some() => {
                    let has_come = Inbox::has_seen(&self.database, consumer, message);
                    return if has_come.await.map_err(store)? { Ok(None) } else { Err(error) };
                }
                decided => decided?,
            };
            let mut transaction = self.database.begin().await.map_err(failed).map_err(store)?;
            if !Inbox::first_time(&mut transaction, consumer, message).await.map_err(store)? {
                return Ok(None);
            }
            let appended = match &decision.append {
                Some(append) => self.append_in(&mut transaction, append).await.map(drop),
                None => Ok(()),
            };
            match appended {
                Ok(()) => {
                    transaction.commit().await.map_err(failed).map_err(store)?;
                    self.announce();
                    repository.committed(&decision).await;
                    return Ok(Some(decision.aggregate));
                }
                Err(AppendError::Conflict { .. }) => {
                    drop(transaction);
                    tokio::time::sleep(PAUSE * attempt).await;
                }
                Err(error) => return Err(ExecuteError::Append(error)),
            }
        }
        Err(ExecuteError::Contended { attempts: TRIES })
    }

    /// Where events come from that a message leads to.
    pub fn caused_by(message: &CloudEvent) -> Cause {
        let correlation = message.extension(CloudEvent::CORRELATION_ID);
        Cause {
            command_id: None,
            correlation_id: correlation.map(str::to_owned),
            causation_id: Some(message.id().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_leads_to_names_it_as_its_cause_and_stays_in_its_transaction() {
        let message = CloudEvent::try_new("7", "/shop", "order.placed").unwrap();
        let message = message.with_extension(CloudEvent::CORRELATION_ID, "whole").unwrap();
        let cause = SqlStore::caused_by(&message);
        assert_eq!(cause.causation_id.as_deref(), Some("7"));
        assert_eq!(cause.correlation_id.as_deref(), Some("whole"));
    }
}
