//! What a gRPC client is told when it is refused.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::http2::{client, grpc, grpc_service, send};
use crate::support::{settings, start};

#[tokio::test]
async fn a_grpc_client_over_its_limit_is_told_when_to_come_back() {
    let mut settings = settings();
    let mut limit = regatta_gateway::RateLimit::default();
    (limit.requests, limit.window) = (std::num::NonZeroU32::MIN, Duration::from_secs(20));
    settings.rate_limit = Some(limit);
    let gateway = start(settings, &[grpc_service(Duration::ZERO).await]).await;
    let mut client = client(gateway.addr).await;
    let request = || grpc("/a/x.Service/X").body(Full::default()).unwrap();
    assert!(!send(&mut client, request()).await.headers().contains_key("grpc-status"));
    let refused = send(&mut client, request()).await;
    let status = tonic::Status::from_header_map(refused.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let field = |name| refused.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
    let (seconds, millis) = (field("retry-after"), field("grpc-retry-pushback-ms"));
    assert!((1..=20).contains(&seconds) && millis.div_ceil(1000) == seconds, "{seconds} {millis}");
    let details = refused.headers()["grpc-status-details-bin"].as_bytes();
    let delay = regatta_traffic::retry_info::read(details).unwrap();
    assert_eq!(u64::try_from(delay.as_nanos().div_ceil(1_000_000)), Ok(millis));
}

#[tokio::test]
async fn a_grpc_call_that_may_have_been_begun_is_not_to_be_repeated() {
    let service = breaking().await;
    let gateway = start(settings(), &[service]).await;
    let mut client = client(gateway.addr).await;
    let answer = send(&mut client, grpc("/a/x.Service/X").body(Full::default()).unwrap()).await;
    let fields = answer.headers();
    assert_eq!(
        (&fields["grpc-status"], &fields["grpc-retry-pushback-ms"]),
        (&HeaderValue::from_static("14"), &HeaderValue::from_static("-1"))
    );
}

/// A service that takes a call and breaks the connection.
async fn breaking() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let settings = b"\0\0\0\x04\0\0\0\0\0";
            _ = stream.write_all(settings).await;
            let mut seen = Vec::new();
            while !has_call(&seen) && stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {}
        }
    });
    address
}

/// Whether a HEADERS frame has begun after the preface (RFC 9113, section 4.1).
fn has_call(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(24..).unwrap_or_default();
    while let [a, b, c, kind, ..] = rest {
        if *kind == 1 {
            return true;
        }
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    false
}
