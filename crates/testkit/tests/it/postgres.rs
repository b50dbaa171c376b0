//! A real server, with outages.

use regatta_testkit::Postgres;
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn each_database_is_empty_and_the_server_survives_a_stop() {
    let mut server = Postgres::start().await.unwrap();
    let (one, two) = (server.database().await.unwrap(), server.database().await.unwrap());
    assert_ne!(one, two);
    let mut connection = PgConnection::connect(&one).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (id int)").execute(&mut connection).await.unwrap();

    server.stop();
    assert!(PgConnection::connect(&one).await.is_err());
    server.resume().await.unwrap();

    let mut connection = PgConnection::connect(&one).await.unwrap();
    assert!(sqlx::query("SELECT id FROM t").fetch_all(&mut connection).await.is_ok());
    let mut connection = PgConnection::connect(&two).await.unwrap();
    assert!(sqlx::query("SELECT id FROM t").fetch_all(&mut connection).await.is_err());
}
