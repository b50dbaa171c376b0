//! The command that a message asks for, done once.

use std::num::NonZeroU64;
use std::sync::Arc;

use regatta_events::{CloudEvent, GroupName};
use regatta_eventstore::{Aggregate, DomainEvent, EventStore, ExecuteError, Repository, StreamId};
use regatta_eventstore_sql::SqlStore;
use serde::{Deserialize, Serialize};

use crate::databases;

/// It is won by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Race {
    winner: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum RaceEvent {
    Won { winner: String },
}

impl DomainEvent for RaceEvent {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the race is over")]
struct IsOver;

impl Aggregate for Race {
    const CATEGORY: &'static str = "race";
    type Event = RaceEvent;
    type Command = &'static str;
    type Error = IsOver;

    fn apply(&mut self, RaceEvent::Won { winner }: &RaceEvent) {
        self.winner = Some(winner.clone());
    }

    fn handle(&self, winner: &&'static str) -> Result<Vec<RaceEvent>, IsOver> {
        match self.winner {
            Some(_) => Err(IsOver),
            None => Ok(vec![RaceEvent::Won { winner: (*winner).to_owned() }]),
        }
    }
}

#[tokio::test]
async fn a_message_that_comes_again_is_not_refused_for_what_it_did_itself() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let races = Repository::<Race>::new(Arc::new(store.clone()));
        let (first, second) = (message("1"), message("2"));
        let won = store.execute_once(&races, (&group(), &first), "7", &"ada").await.unwrap();
        assert_eq!(won.unwrap().winner.as_deref(), Some("ada"));
        let again = store.execute_once(&races, (&group(), &first), "7", &"ada").await;
        assert_eq!(again.unwrap(), None);
        let late = store.execute_once(&races, (&group(), &second), "7", &"bob").await;
        assert!(matches!(late, Err(ExecuteError::Refused(IsOver))), "{late:?}");
        // Refused is not handled: it is refused each time.
        let late = store.execute_once(&races, (&group(), &second), "7", &"bob").await;
        assert!(matches!(late, Err(ExecuteError::Refused(IsOver))), "{late:?}");
    }
}

#[tokio::test]
async fn of_one_message_twice_at_once_one_has_the_effect_and_none_is_refused() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let races = Repository::<Race>::new(Arc::new(store.clone()));
        for number in 0..20 {
            let (id, message) = (number.to_string(), message(&number.to_string()));
            let group = group();
            let key = (&group, &message);
            let (one, two) = tokio::join!(
                store.execute_once(&races, key, &id, &"ada"),
                store.execute_once(&races, key, &id, &"ada"),
            );
            assert_eq!(one.unwrap().is_some() as u8 + two.unwrap().is_some() as u8, 1);
        }
    }
}

#[tokio::test]
async fn a_snapshot_is_kept_of_what_messages_do_too() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let races = Repository::<Race>::new(Arc::new(store.clone()));
        let races = races.with_snapshots(NonZeroU64::new(1).unwrap());
        let stream = StreamId::try_new("race", 7).unwrap();
        assert_eq!(store.snapshot(&stream, Race::SNAPSHOT_REVISION).await.unwrap(), None);
        store.execute_once(&races, (&group(), &message("1")), "7", &"ada").await.unwrap();
        let kept = store.snapshot(&stream, Race::SNAPSHOT_REVISION).await.unwrap().unwrap();
        assert_eq!(kept.version.get(), 1);
        assert_eq!(kept.state["winner"], "ada");
        assert_eq!(races.load("7").await.unwrap().snapshot.get(), 1, "and it is read");
    }
}

fn group() -> GroupName {
    GroupName::try_new("races").unwrap()
}

fn message(id: &str) -> CloudEvent {
    CloudEvent::try_new(id, "/clock", "race.won").unwrap()
}
