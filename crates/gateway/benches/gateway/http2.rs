//! HTTP/2 load and gRPC services, on hyper for all proxies alike.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Calls that each connection has open at a time.
pub(crate) const STREAMS: usize = 8;

/// A message of 200 bytes behind gRPC's prefix of five.
fn message() -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 200];
    bytes.resize(205, b'x');
    bytes.into()
}

/// Answers every call with one message and status 0.
pub(crate) async fn serve_grpc(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        _ = stream.set_nodelay(true);
        let service = service_fn(|request: Request<Incoming>| async move {
            _ = request.into_body().collect().await;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let frames =
                [Ok(Frame::data(message())), Ok::<_, Infallible>(Frame::trailers(trailers))];
            let body = StreamBody::new(futures::stream::iter(frames));
            let response = Response::builder().header("content-type", "application/grpc");
            Ok::<_, Infallible>(response.body(body).unwrap())
        });
        let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(async { drop(serve.await) });
    }
}

/// Sends so many calls over so many connections, [`STREAMS`] at a time on each; any answer but a
/// good one ends the bench.
pub(crate) async fn run(address: SocketAddr, grpc: bool, connections: usize, requests: usize) {
    let left = Arc::new(AtomicUsize::new(requests));
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        // Ends when the last sender is dropped.
        drop(tokio_util::task::TaskTracker::new().spawn(async { drop(connection.await) }));
        for _ in 0..STREAMS {
            let (left, sender) = (Arc::clone(&left), sender.clone());
            clients.spawn(async move {
                let mut sender = sender;
                loop {
                    let number = left.fetch_sub(1, Ordering::Relaxed);
                    if number == 0 || number > usize::MAX / 2 {
                        return;
                    }
                    ask(&mut sender, grpc).await;
                }
            });
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn ask(sender: &mut SendRequest<Body>, grpc: bool) {
    let request = if grpc {
        Request::post("http://shop.example/pkg.Greeter/Hi")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::from(message()).boxed())
    } else {
        Request::get("http://shop.example/a/users/1?page=2")
            .header("user-agent", "load/1")
            .header("accept", "application/json")
            .body(Empty::new().boxed())
    };
    sender.ready().await.unwrap();
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let collected = response.into_body().collect().await.unwrap();
    if grpc {
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    }
    assert!(collected.to_bytes().len() >= 200);
}
