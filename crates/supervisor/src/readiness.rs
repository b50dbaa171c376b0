//! Asks a part whether it is ready.

use std::io;
use std::time::Duration;

use regatta_manifest::Health;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::address::{Address, reachable};

/// How long one answer may take; a part that needs longer is not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a part answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 2xx, or a connection where no more is asked.
    Ready,
    /// 2xx, but the registry does not list it: callers do not find it.
    Unlisted,
    /// Another status.
    Status(u16),
    /// Nothing, or no HTTP.
    None(String),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("it is ready"),
            Self::Unlisted => f.write_str("it answers, and the registry does not list it"),
            Self::Status(status) => write!(f, "it answers {status}"),
            Self::None(why) => write!(f, "it does not answer ({why})"),
        }
    }
}

/// Asks once: connects, and for HTTP sends one GET and reads the status.
///
/// # Cancel safety
///
/// Cancel safe: the connection is closed.
pub(crate) async fn ask(address: &Address, health: &Health) -> Answer {
    let asked = async {
        match health {
            Health::Http { path } => get(address, path).await.map(Some),
            Health::Tcp => connect(address).await.map(|_| None),
        }
    };
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(None | Some(200..=299))) => Answer::Ready,
        Ok(Ok(Some(status))) => Answer::Status(status),
        Ok(Err(error)) => Answer::None(error.to_string()),
        Err(_) => Answer::None(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
}

async fn connect(address: &Address) -> io::Result<TcpStream> {
    TcpStream::connect((reachable(&address.host), address.port)).await
}

async fn get(address: &Address, path: &str) -> io::Result<u16> {
    let host = reachable(&address.host);
    let mut stream = connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // "HTTP/1.1 200" is all that matters.
    stream.take(12).read_to_end(&mut head).await?;
    status(&head).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}

fn status(head: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(head).ok()?;
    text.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_2xx_is_ready_and_another_status_is_not() {
        assert_eq!(answer_to("HTTP/1.1 200 OK\r\n\r\n").await, Answer::Ready);
        assert_eq!(answer_to("HTTP/1.1 503 Not Ready\r\n\r\n").await, Answer::Status(503));
    }

    #[tokio::test]
    async fn something_that_speaks_no_http_is_not_ready() {
        let answer = answer_to("SSH-2.0-OpenSSH\r\n").await;
        assert_eq!(answer.to_string(), "it does not answer (the answer is no HTTP)");
    }

    #[tokio::test]
    async fn nobody_there_is_not_ready() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        for health in [Health::of_chassis(), Health::Tcp] {
            assert!(matches!(ask(&address(port), &health).await, Answer::None(_)));
        }
    }

    #[tokio::test]
    async fn a_connection_is_enough_where_no_more_is_asked() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = address(socket.local_addr().unwrap().port());
        assert_eq!(ask(&address, &Health::Tcp).await, Answer::Ready);
    }

    async fn answer_to(text: &'static str) -> Answer {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let serve = async {
            let (mut stream, _) = socket.accept().await.unwrap();
            let mut request = [0; 256];
            let _count = stream.read(&mut request).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
        };
        let (address, health) = (address(port), Health::of_chassis());
        tokio::join!(ask(&address, &health), serve).0
    }

    fn address(port: u16) -> Address {
        Address {
            host: "127.0.0.1".to_owned(),
            port,
            admin: None,
            etcd: None,
            dns: None,
            tls: false,
        }
    }
}
