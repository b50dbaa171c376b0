//! Ends an exchange with an answer of the gateway's own.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::admit::{Forward, deny};
use super::connection::After;
use super::io::write_all;
use super::upload::UploadError;
use crate::shared::Shared;
use crate::worker::alarm::Alarm;

/// Answers a request whose body did not get through, if there is anybody to answer.
pub(super) async fn refuse_body(
    client: &mut TcpStream,
    out: &mut Vec<u8>,
    mut forward: Forward,
    error: UploadError,
    shared: &Arc<Shared>,
    alarm: &mut Alarm,
) -> After {
    forward.keep_alive = false;
    let Some(denial) = error.denial() else {
        forward.record.finish(shared, Instant::now());
        return After::Close;
    };
    deny(&denial, forward.is_grpc, &forward.trace, forward.is_head, &forward.common(), out);
    let status = denial.status();
    finish_own(client, out, forward, status, shared, alarm, 0).await
}

/// Sends an answer of the gateway's own, which ends the request.
pub(super) async fn finish_own(
    client: &mut TcpStream,
    out: &[u8],
    forward: Forward,
    status: u16,
    shared: &Arc<Shared>,
    alarm: &mut Alarm,
    attempts: u8,
) -> After {
    let deadline = Instant::now() + Duration::from_secs(10);
    let written = alarm.within(deadline, write_all(client, out)).await;
    let keep_alive = forward.keep_alive;
    let mut record = forward.record.with(status);
    record.attempts = attempts;
    record.finish(shared, Instant::now());
    match (written, keep_alive) {
        (Ok(Ok(())), true) => After::Again,
        (Ok(Ok(())), false) => After::Linger,
        _ => After::Close,
    }
}
