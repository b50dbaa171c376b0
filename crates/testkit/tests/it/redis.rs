//! The Redis server of a test.

use regatta_testkit::Redis;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_server_answers_until_it_is_stopped_and_again_when_it_is_resumed() {
    let mut redis = Redis::start().await.unwrap();
    let address = ("127.0.0.1", redis.port());
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    assert!(TcpStream::connect(address).await.is_ok());
    redis.stop();
    assert!(TcpStream::connect(address).await.is_err());
    redis.resume().await.unwrap();
    assert!(TcpStream::connect(address).await.is_ok());
}
