//! The sockets: questions over UDP and TCP, bounded.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Found, Reply, Transport, Zone, respond};
use crate::access::Access;
use crate::metrics::Metrics;
use crate::store::Engine;

/// The largest question that is read over UDP; a longer one is cut and refused.
const MOST_QUESTION: usize = 4096;
/// How often a free port is tried that is free for both protocols.
const TRIES: usize = 16;

/// What bounds the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DnsBounds {
    /// TCP connections at once.
    pub(crate) max_connections: usize,
    /// How long a TCP connection may be silent, or its client take to read an answer.
    pub(crate) idle_timeout: Duration,
}

/// Answers questions until drain.
#[derive(Debug)]
pub(crate) struct DnsServer {
    udp: UdpSocket,
    tcp: TcpListener,
    bounds: DnsBounds,
}

/// What every question needs.
#[derive(Clone)]
struct Answerer {
    engine: Engine,
    zone: Arc<Zone>,
    access: Access,
    metrics: Metrics,
}

impl DnsServer {
    /// Listens on one port for both protocols; port 0 takes one that is free for both.
    pub(crate) async fn bind(address: SocketAddr, bounds: DnsBounds) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let tcp = TcpListener::bind(address).await?;
            let chosen = tcp.local_addr()?;
            match UdpSocket::bind(chosen).await {
                Ok(udp) => return Ok(Self { udp, tcp, bounds }),
                Err(_) if address.port() == 0 && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers until `drain`; connections are closed then.
    pub(crate) async fn run(
        self,
        engine: Engine,
        zone: Zone,
        (access, metrics): (Access, Metrics),
        drain: CancellationToken,
    ) {
        let answerer = Answerer { engine, zone: Arc::new(zone), access, metrics };
        let connections = TaskTracker::new();
        tokio::select! {
            () = drain.cancelled() => (),
            () = serve_udp(&self.udp, &answerer) => (),
            () = serve_tcp(&self.tcp, self.bounds, &answerer, &connections, &drain) => (),
        }
        connections.close();
        connections.wait().await;
    }
}

impl Answerer {
    fn respond(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        #[expect(clippy::disallowed_methods, reason = "a zone's serial is the time of day")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Serials go around (RFC 1982).
        let now = (now.as_secs() & u64::from(u32::MAX)) as u32;
        let answer = respond(packet, transport, |query| {
            let mut random = rand::rng();
            // A question has no token: its asker sees what everybody may.
            let instant = tokio::time::Instant::now().into_std();
            let Ok(grant) = self.access.grant(instant, None) else {
                return Reply::refused(ResponseCode::Refused);
            };
            let asked = self.zone.asked(query.name());
            let (own, rules) = (&self.zone.node, &grant.rules);
            let found = self.engine.read(|state| Found::find(state, &asked, own, rules));
            let question = (query.name(), query.query_type());
            self.zone.reply(found, question, now, transport.most_records(), &mut random)
        });
        if let Some(code) = answer.as_ref().and_then(|answer| answer.get(3)) {
            self.metrics.named(u16::from(code & 0x0f));
        }
        answer
    }
}

/// One after the other: an answer takes microseconds and waits for nothing.
async fn serve_udp(socket: &UdpSocket, answerer: &Answerer) {
    let mut buffer = vec![0; MOST_QUESTION];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Such as the news that an earlier asker is gone.
                tracing::debug!(%error, "cannot receive a question");
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        if let Some(answer) = answerer.respond(&buffer[..length], Transport::Udp)
            && let Err(error) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%error, %from, "cannot send an answer");
        }
    }
}

async fn serve_tcp(
    listener: &TcpListener,
    bounds: DnsBounds,
    answerer: &Answerer,
    connections: &TaskTracker,
    drain: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(bounds.max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        // Taken before accepting: what is too much waits in the kernel's queue.
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in 100 ms");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (answerer, drain) = (answerer.clone(), drain.clone());
        connections.spawn(async move {
            tokio::select! {
                () = drain.cancelled() => (),
                ended = converse(stream, &answerer, bounds.idle_timeout) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                }
            }
            drop(place);
        });
    }
}

/// Questions and answers, each with its length before it (RFC 1035, 4.2.2).
async fn converse(mut stream: TcpStream, answerer: &Answerer, idle: Duration) -> io::Result<()> {
    let mut question = Vec::new();
    loop {
        let read = async {
            let length = match stream.read_u16().await {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            };
            question.resize(usize::from(length), 0);
            stream.read_exact(&mut question).await.map(|_| true)
        };
        if !tokio::time::timeout(idle, read).await?? {
            return Ok(());
        }
        let Some(answer) = answerer.respond(&question, Transport::Tcp) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let mut packet = Vec::with_capacity(answer.len() + 2);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&answer);
        tokio::time::timeout(idle, stream.write_all(&packet)).await??;
    }
}
