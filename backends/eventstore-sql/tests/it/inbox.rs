//! An inbox: each effect once, however often its event comes.

use std::time::Duration;

use regatta_events::{CloudEvent, GroupName};
use regatta_eventstore_sql::Inbox;
use time::OffsetDateTime;

use crate::databases;

#[tokio::test]
async fn an_event_is_new_once_for_each_consumer_and_source() {
    for fresh in databases::both().await {
        let (mail, books) = (group("mail"), group("books"));
        for (consumer, event, is_new) in [
            (&mail, event("/a", "1"), true),
            (&mail, event("/a", "1"), false),
            (&books, event("/a", "1"), true),
            (&mail, event("/b", "1"), true),
            (&mail, event("/a", "2"), true),
        ] {
            let mut tx = fresh.database.begin().await.unwrap();
            assert_eq!(Inbox::first_time(&mut tx, consumer, &event).await.unwrap(), is_new);
            tx.commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_event_whose_effect_was_undone_is_new_again() {
    for fresh in databases::both().await {
        let (mail, event) = (group("mail"), event("/a", "1"));
        for _ in 0..2 {
            let mut tx = fresh.database.begin().await.unwrap();
            assert!(Inbox::first_time(&mut tx, &mail, &event).await.unwrap());
            tx.rollback().await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_old_is_forgotten() {
    for fresh in databases::both().await {
        let mut tx = fresh.database.begin().await.unwrap();
        for id in 0..1500 {
            let event = event("/a", &id.to_string());
            assert!(Inbox::first_time(&mut tx, &group("mail"), &event).await.unwrap());
        }
        tx.commit().await.unwrap();
        let now = OffsetDateTime::now_utc();
        let (before, after) = (now - Duration::from_secs(60), now + Duration::from_secs(60));
        assert_eq!(Inbox::forget(&fresh.database, before).await.unwrap(), 0);
        assert_eq!(Inbox::forget(&fresh.database, after).await.unwrap(), 1500);
    }
}

fn group(name: &str) -> GroupName {
    GroupName::try_new(name).unwrap()
}

fn event(source: &str, id: &str) -> CloudEvent {
    CloudEvent::try_new(id, source, "happened").unwrap()
}
