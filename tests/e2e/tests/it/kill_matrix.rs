//! A short kill matrix; the long one is `cargo xtask kill-matrix`.

use regatta_e2e::kill::{Engines, Matrix};

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_every_order_ends_once_whoever_is_killed() {
    let (tally, verdict) = Matrix { engines: Engines::Sqlite, rounds: 10 }.run().await.unwrap();
    assert_eq!(tally.kills.len(), 10, "every participant at every step");
    assert!(verdict.orders >= tally.acknowledged && tally.acknowledged > 10, "{verdict:?}");
    assert!(verdict.paid > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_every_order_ends_once_whoever_is_killed() {
    let (tally, verdict) = Matrix { engines: Engines::Postgres, rounds: 15 }.run().await.unwrap();
    assert_eq!(tally.kills.len(), 15, "every participant at every step");
    assert!(verdict.orders >= tally.acknowledged && tally.acknowledged > 10, "{verdict:?}");
    assert!(verdict.paid > 0, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_nats_every_order_ends_once_whoever_is_killed() {
    let matrix = Matrix { engines: Engines::PostgresNats, rounds: 20 };
    let (tally, verdict) = matrix.run().await.unwrap();
    assert_eq!(tally.kills.len(), 20, "every participant at every step");
    assert!(verdict.orders >= tally.acknowledged && tally.acknowledged > 10, "{verdict:?}");
    assert!(verdict.paid > 0, "{verdict:?}");
}
