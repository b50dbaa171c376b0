//! What the database itself holds of a person, before and after.

use regatta_database::{Database, Engine};
use regatta_eventstore::{Append, EventStore, Expected, NewEvent, Personal, StreamId, SubjectId};
use regatta_eventstore_sql::SqlStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases;

#[tokio::test]
async fn the_tables_never_hold_personal_data_in_the_clear() {
    for fresh in databases::both().await {
        let store = SqlStore::new(&fresh.database);
        let ada = SubjectId::try_new("user-1").unwrap();
        let Value::Object(members) = json!({ "email": "ada@example.com" }) else { panic!() };
        let personal = Some(Personal { subject: ada.clone(), members });
        let event =
            NewEvent { personal, ..NewEvent::new(Uuid::now_v7(), "Joined", json!({ "id": 1 })) };
        let stream = StreamId::try_new("user", 1).unwrap();
        store.append(&Append::new(stream, Expected::Any, vec![event.clone()])).await.unwrap();
        let read = store.find(event.id).await.unwrap().unwrap();
        assert_eq!(read.data["email"], "ada@example.com");
        assert!(!columns(&fresh.database).await.contains("ada@"));
        assert_eq!(keys(&fresh.database).await, 1);
        store.erase(&ada).await.unwrap();
        assert_eq!(keys(&fresh.database).await, 0);

        let again = Append::new(read.stream, Expected::Any, vec![event]);
        assert!(store.append(&again).await.unwrap().repeated, "it happened before the erasure");
    }
}

async fn columns(database: &Database) -> String {
    let (data, sealed): (String, Vec<u8>) = match database.engine() {
        Engine::Sqlite(sqlite) => {
            let select = "SELECT data || metadata, sealed FROM regatta_events";
            sqlx::query_as(select).fetch_one(sqlite.reader()).await.unwrap()
        }
        Engine::Postgres(postgres) => {
            let select = "SELECT data::text || metadata::text, sealed FROM regatta_events";
            sqlx::query_as(select).fetch_one(postgres.pool()).await.unwrap()
        }
    };
    format!("{data} {}", String::from_utf8_lossy(&sealed))
}

async fn keys(database: &Database) -> i64 {
    let select = "SELECT count(key) FROM regatta_subjects";
    match database.engine() {
        Engine::Sqlite(sqlite) => sqlx::query_scalar(select).fetch_one(sqlite.reader()).await,
        Engine::Postgres(postgres) => sqlx::query_scalar(select).fetch_one(postgres.pool()).await,
    }
    .unwrap()
}
