//! Copies between our store and a real etcd, both ways.

use regatta_control_plane::transfer::{Endpoint, Report, Transfer, TransferError};
use regatta_proto::etcdserverpb as pb;
use regatta_testkit::Etcd;

use crate::etcd::client::Client;

fn endpoint(address: &str) -> Endpoint {
    format!("etcd://{address}").parse().unwrap()
}

fn counts(report: &Report) -> [u64; 5] {
    let keys = report.keys;
    [keys.found, keys.written, keys.unchanged, keys.kept, report.leased]
}

/// More keys than one page and one transaction hold, a large one, and one of a client.
const KEYS: usize = 1203;

async fn fill(client: &Client) {
    let tasks = (0..KEYS).map(|number| async move {
        let value = format!("value {number}");
        client.put(&format!("shop/{number:05}"), &value).await
    });
    futures::future::join_all(tasks).await;
    client.put("shop/large", &"x".repeat(1_400_000)).await;
    client.put("bank/a", "1").await;
    let grant = pb::LeaseGrantRequest { id: 9, ttl: 100 };
    client.lease.clone().lease_grant(grant).await.unwrap();
    client.put_with("shop/leased", 9).await.unwrap();
}

#[tokio::test]
async fn a_server_without_etcds_grpc_in_clear_is_told_as_that() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let server = crate::etcd::server().await;
    // A server of HTTP/1, and the alert of one with TLS.
    let answers = [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x16",
    ];
    for answer in answers {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let strange = endpoint(&listener.local_addr().unwrap().to_string());
        let answering = async {
            // Kept open, so that the answer is read before an end of the connection is.
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _asked = stream.read(&mut [0; 64]).await;
                let _gone = stream.write_all(answer).await;
                open.push(stream);
            }
        };
        let copy = Transfer::new(strange, endpoint(&server.etcd_endpoint()));
        let copied = tokio::select! {
            copied = copy.run() => copied,
            () = answering => panic!("the listener ended"),
        };
        let error = copied.unwrap_err();
        assert!(matches!(error, TransferError::NoEtcd { .. }), "{error:?}");
        assert!(error.to_string().contains("write etcds://"), "{error}");
    }
}

#[tokio::test]
async fn everything_goes_to_a_real_etcd_and_comes_back() {
    let server = crate::etcd::server().await;
    let etcd = Etcd::start().await.unwrap_or_else(|error| panic!("{error}"));
    let (ours, theirs) = (endpoint(&server.etcd_endpoint()), endpoint(&etcd.endpoint()));
    let own = Client::connect(&server.etcd_endpoint()).await;
    let other = Client::connect(&etcd.endpoint()).await;
    fill(&own).await;
    let all = KEYS as u64 + 2;

    let mut out = Transfer::new(ours.clone(), theirs.clone());
    out.dry_run = true;
    let before = other.revision().await;
    assert_eq!(counts(&out.run().await.unwrap()), [all + 1, all, 0, 0, 1]);
    assert_eq!(other.revision().await, before);
    out.dry_run = false;
    assert_eq!(counts(&out.run().await.unwrap()), [all + 1, all, 0, 0, 1]);
    assert_eq!(counts(&out.run().await.unwrap()), [all + 1, 0, all, 0, 1]);
    assert_eq!(other.get("shop/00777").await.as_deref(), Some("value 777"));
    assert_eq!(other.get("shop/large").await.map(|value| value.len()), Some(1_400_000));
    assert_eq!(other.get("shop/leased").await, None);

    // Back, by prefix, into a store that has one of the keys with another value.
    let fresh = crate::etcd::server().await;
    let back = Client::connect(&fresh.etcd_endpoint()).await;
    back.put("shop/00001", "own").await;
    let mut import = Transfer::new(theirs, endpoint(&fresh.etcd_endpoint()));
    import.prefix = "shop/".to_owned();
    import.keep = true;
    assert_eq!(counts(&import.run().await.unwrap()), [all - 1, all - 2, 0, 1, 0]);
    assert_eq!(back.get("shop/00001").await.as_deref(), Some("own"));
    assert_eq!(back.get("bank/a").await, None);
    import.keep = false;
    assert_eq!(counts(&import.run().await.unwrap()), [all - 1, 1, all - 2, 0, 0]);
    assert_eq!(back.get("shop/00001").await.as_deref(), Some("value 1"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let gone = regatta_testkit::free_port();
    let here = endpoint(&format!("127.0.0.1:{gone}"));
    let error = Transfer::new(here.clone(), here.clone()).run().await.unwrap_err();
    assert!(matches!(error, TransferError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&here.to_string()), "{error}");
    let consul: Endpoint = "consul://127.0.0.1:1".parse().unwrap();
    let error = Transfer::new(here, consul).run().await.unwrap_err();
    assert!(matches!(error, TransferError::TwoKinds { .. }), "{error:?}");
}
