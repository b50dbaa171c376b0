//! The link, on a real Redis.

use std::time::Duration;

use redis::Client;
use regatta_redis_link::{Connected, Link};
use regatta_testkit::Redis;

fn link(server: &Redis) -> Link {
    let client = Client::open(server.url()).expect("the server's address is one");
    Link::new(client, Duration::from_secs(20))
}

/// Which connection the server says this is.
async fn id(connected: &Connected) -> redis::RedisResult<u64> {
    redis::cmd("CLIENT").arg("ID").query_async(&mut connected.connection.clone()).await
}

#[tokio::test]
async fn all_who_ask_at_a_time_share_one_connection() {
    let server = Redis::start().await.unwrap();
    let link = link(&server);
    let (a, b) = futures::join!(link.connected(), link.connected());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(id(&a).await.unwrap(), id(&b).await.unwrap());
}

#[tokio::test]
async fn a_late_failure_of_an_old_connection_does_not_end_the_new_one() {
    let server = Redis::start().await.unwrap();
    let link = link(&server);
    let old = link.connected().await.unwrap();
    let old_id = id(&old).await.unwrap();
    link.discard(&old);
    let new_id = id(&link.connected().await.unwrap()).await.unwrap();
    assert_ne!(new_id, old_id);
    link.discard(&old);
    assert_eq!(id(&link.connected().await.unwrap()).await.unwrap(), new_id);
}

#[tokio::test]
async fn one_who_gives_up_leaves_the_connection_to_the_next() {
    let server = Redis::start().await.unwrap();
    let link = link(&server);
    drop(futures::poll!(Box::pin(link.connected())));
    let next = link.connected().await.unwrap();
    let list = redis::cmd("CLIENT").arg("LIST").to_owned();
    let clients: String = list.query_async(&mut next.connection.clone()).await.unwrap();
    // One that was made for who gave up, and no other.
    assert_eq!(clients.lines().count(), 1, "{clients}");
}

#[tokio::test]
async fn after_an_outage_the_next_who_asks_has_a_new_connection() {
    let mut server = Redis::start().await.unwrap();
    let link = link(&server);
    let before = link.connected().await.unwrap();
    server.stop();
    assert!(id(&before).await.is_err());
    link.discard(&before);
    assert!(link.connected().await.is_err());
    server.resume().await.unwrap();
    assert!(id(&link.connected().await.unwrap()).await.is_ok());
}
