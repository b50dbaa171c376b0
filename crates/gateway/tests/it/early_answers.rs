//! Answers over HTTP/2 that come before the request's body.

use bytes::Bytes;
use futures::FutureExt;
use http::Request;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::support::{nobody, settings, start};

#[tokio::test]
async fn a_refusal_is_not_followed_by_a_reset_while_a_short_body_is_on_its_way() {
    let gateway = start(settings(), &[nobody().await]).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let (sender, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    TaskTracker::new().spawn(connection);
    let request = Request::post("http://shop/nowhere").header("content-length", "7");
    let request = request.body(()).unwrap();
    let mut sender = sender.ready().await.unwrap();
    let (answer, mut upload) = sender.send_request(request, false).unwrap();
    let mut answer = answer.await.unwrap();
    assert_eq!(answer.status(), 404);
    while let Some(data) = answer.body_mut().data().await {
        data.unwrap();
    }
    // What came before the answer to a ping was sent before it.
    pings.ping(h2::Ping::opaque()).await.unwrap();
    let mut reset = std::future::poll_fn(|cx| upload.poll_reset(cx)).now_or_never();
    assert!(reset.is_none(), "{:?}", reset.take());
    upload.send_data(Bytes::from_static(b"1234567"), true).unwrap();
}
