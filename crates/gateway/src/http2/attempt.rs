//! One attempt at one instance, over a connection that is at hand or new.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::HeaderValue;
use http::{Request, Response, Version, header};
use hyper::body::Incoming;
use regatta_traffic::verdict::Silence;
use tokio::time::{Instant, sleep, timeout_at};

use super::body::Upload;
use super::exchange::Outgoing;
use super::pool::{self, Sender};
use super::progress::Progress;
use super::request;
use crate::policy::{Denial, Rules};

/// What an upload that does not move is given beyond the time in which its own side gives up.
const GRACE: Duration = Duration::from_secs(1);

/// How an attempt ended without an answer; with the request if it was not sent.
pub(super) enum Lost {
    Unsent(Box<Request<Upload>>),
    /// The upstream says that it has not looked at it.
    Untaken,
    Broken,
    /// The client's body did not get through, which says nothing about the upstream.
    Refused(Box<Denial>),
    TooLate,
}

/// Opens a connection.
pub(super) async fn connect(
    address: SocketAddr,
    outgoing: &Outgoing,
    deadline: Instant,
) -> Result<Sender, Silence> {
    let deadline = deadline.min(outgoing.deadline.unwrap_or(deadline));
    match timeout_at(deadline, pool::connect(address, outgoing.is_grpc)).await {
        Ok(Ok(sender)) => Ok(sender),
        Ok(Err(_)) => Err(Silence::Refused),
        Err(_) => Err(Silence::Unreached),
    }
}

/// Whether a kept connection has closed, asking the system: worth it for what may not be repeated.
pub(super) async fn is_closed(sender: &Sender) -> bool {
    // The runtime takes in what has happened, and the connection's own task runs before this one.
    tokio::task::yield_now().await;
    match sender {
        Sender::One(sender) => sender.is_closed(),
        Sender::Many(sender) => sender.is_closed(),
    }
}

/// Sends the request and waits for the head of its answer.
pub(super) async fn attempt(
    sender: Sender,
    mut upload: Request<Upload>,
    outgoing: &Outgoing,
    address: SocketAddr,
    try_end: Option<Instant>,
    rules: &Rules,
) -> Result<Response<Incoming>, Lost> {
    let query = outgoing.query.as_deref();
    let many = matches!(sender, Sender::Many(_));
    let host = Some(outgoing.host.as_str()).filter(|host| !host.is_empty());
    let uri = request::target(&outgoing.path, query, host.filter(|_| many)).ok_or(Lost::Broken)?;
    *upload.uri_mut() = uri;
    *upload.version_mut() = if many { Version::HTTP_2 } else { Version::HTTP_11 };
    if !many {
        request::join_cookies(upload.headers_mut());
        if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
            upload.headers_mut().insert(header::HOST, host);
        }
    }
    let progress = &outgoing.progress;
    let send = async {
        match sender {
            Sender::One(mut sender) => {
                let sent = sender.try_send_request(upload).await;
                let response = sent.map_err(|error| lost(error, progress))?;
                let most = rules.limits.idle_upstream;
                pool::put(address, Sender::One(sender), Instant::now(), most);
                Ok(response)
            }
            Sender::Many(mut sender) => {
                if sender.ready().await.is_err() {
                    return Err(Lost::Unsent(Box::new(upload)));
                }
                let sent = sender.try_send_request(upload).await;
                sent.map_err(|error| lost(error, progress))
            }
        }
    };
    if let Some(deadline) = outgoing.deadline {
        let deadline = try_end.map_or(deadline, |try_end| try_end.min(deadline));
        return timeout_at(deadline, send).await.unwrap_or(Err(Lost::TooLate));
    }
    let too_late = async {
        tokio::select! {
            // The service gets its whole time once it has the whole body.
            () = progress.ended() => sleep(outgoing.timeout).await,
            // It does not take the body, or the client does not send it.
            () = outgoing.moved.still_for(outgoing.idle + GRACE) => (),
        }
    };
    tokio::select! {
        biased;
        ended = send => ended,
        () = too_late => Err(Lost::TooLate),
    }
}

fn lost(
    mut error: hyper::client::conn::TrySendError<Request<Upload>>,
    progress: &Progress,
) -> Lost {
    if let Some(upload) = error.take_message() {
        return Lost::Unsent(Box::new(upload));
    }
    if let Some(failure) = progress.failure() {
        return Lost::Refused(Box::new(failure.into()));
    }
    let error = error.into_error();
    let mut cause = std::error::Error::source(&error);
    while let Some(found) = cause {
        // RFC 9113, sections 6.8 and 8.7: streams above a GOAWAY's last, and refused ones.
        if found.downcast_ref().is_some_and(|error: &h2::Error| {
            error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.is_remote())
        }) {
            return Lost::Untaken;
        }
        cause = found.source();
    }
    Lost::Broken
}
