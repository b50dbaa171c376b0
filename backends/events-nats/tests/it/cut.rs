//! A connection that dies inside a batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use regatta_events::{EventBus, HistoryQuery};
use regatta_events_nats::{NatsBus, Options};
use regatta_testkit::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::bus::{event, start};

const LIMIT: Duration = Duration::from_secs(60);
const EVENTS: u64 = 600;
const KEYS: u64 = 3;
/// Each event; all together more than the buffers of the system hold, so that the client has some
/// left to send when the connection dies.
const BYTES: usize = 16 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_inside_a_batch_leaves_each_key_in_its_order() {
    let server = start().await;
    for (round, after) in [200 << 10, 1 << 20, 5 << 20].into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let cut = Arc::new(AtomicUsize::new(usize::MAX));
        let mut passing = JoinSet::new();
        passing.spawn(pass(listener, server.port(), cut.clone()));
        let options = Options::new(url).with_prefix(format!("round-{round}"));
        let bus = NatsBus::try_new(options.with_timeout(Duration::from_secs(2))).unwrap();
        wait_until("it is used", LIMIT, async || bus.probe().await.is_ok()).await;
        let text = "x".repeat(BYTES);
        let events: Vec<_> = (0..EVENTS)
            .map(|number| event(number, Some(&format!("key-{}", number % KEYS))))
            .map(|event| event.with_json(text.clone().into()))
            .collect();
        cut.store(after, Ordering::SeqCst);
        bus.publish(&events).await.expect_err("the connection dies");
        wait_until("all are taken", LIMIT, async || bus.publish(&events).await.is_ok()).await;
        let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
        let mut last: HashMap<u64, u64> = HashMap::new();
        let logged = bus.history(&query).await.unwrap();
        assert_eq!(logged.len() as u64, EVENTS, "each once");
        for logged in logged {
            let number: u64 = logged.event.id().parse().unwrap();
            let before = last.insert(number % KEYS, number);
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        }
    }
}

/// Passes connections on to the server. The one over which so many more bytes have come stands still
/// for a moment, as a network does before it is given up, and dies with what it holds.
async fn pass(listener: TcpListener, port: u16, cut: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let cut = cut.clone();
        connections.spawn(async move {
            let server = TcpStream::connect(("127.0.0.1", port)).await?;
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let back = tokio::io::copy(&mut from_server, &mut to_client);
            let forth = async {
                let mut buffer = vec![0; 4096];
                loop {
                    let read = from_client.read(&mut buffer).await?;
                    to_server.write_all(&buffer[..read]).await?;
                    let left = cut.load(Ordering::SeqCst).saturating_sub(read);
                    if read == 0 || left == 0 {
                        cut.store(usize::MAX, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        return std::io::Result::Ok(());
                    }
                    if cut.load(Ordering::SeqCst) != usize::MAX {
                        cut.store(left, Ordering::SeqCst);
                    }
                }
            };
            tokio::select! {
                ended = back => ended.map(drop),
                ended = forth => ended,
            }
        });
    }
}
