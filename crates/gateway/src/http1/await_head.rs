//! Waits for the head of an upstream's answer.

use std::time::Duration;

use tokio::time::Instant;

use super::io::read_some;
use super::{Fields, parse_response};
use crate::shared::wall_clock;
use crate::upstream::retry;
use crate::worker::alarm::{Alarm, TimedOut};
use crate::worker::buffer::Buffer;

/// Bytes of a response's head.
const MOST_RESPONSE_HEAD: usize = 64 * 1024;

/// Why there is no response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHead {
    Broken,
    Garbage(&'static str),
    TooLate,
}

/// Reads until a head is whole.
///
/// # Cancel safety
///
/// Cancel safe: what was read is in the buffer.
pub(super) async fn head<R: tokio::io::AsyncRead + Unpin>(
    upstream: &mut R,
    response: &mut Buffer,
    deadline: Instant,
    alarm: &mut Alarm,
) -> Result<(), NoHead> {
    loop {
        match alarm.within(deadline, read_some(upstream, response, MOST_RESPONSE_HEAD)).await {
            Err(TimedOut) => return Err(NoHead::TooLate),
            Ok(Err(_)) => return Err(NoHead::Broken),
            Ok(Ok(0)) if response.filled().len() >= MOST_RESPONSE_HEAD => {
                return Err(NoHead::Garbage("the response's head is too long"));
            }
            Ok(Ok(0)) if response.is_empty() => return Err(NoHead::Broken),
            Ok(Ok(0)) => return Err(NoHead::Garbage("the response's head is cut off")),
            Ok(Ok(_)) if is_whole(response)? => return Ok(()),
            Ok(Ok(_)) => (),
        }
    }
}

/// Whether a final head, or one that switches protocols, is there. Interim ones are dropped: the
/// gateway has sent `100 Continue` itself and promises no early hints.
fn is_whole(response: &mut Buffer) -> Result<bool, NoHead> {
    loop {
        let mut fields = Fields::default();
        let interim = match parse_response(response.filled(), &mut fields, false) {
            Ok(None) => return Ok(false),
            Ok(Some(head)) if head.status >= 200 || head.status == 101 => return Ok(true),
            Ok(Some(head)) => head.length,
            Err(what) => return Err(NoHead::Garbage(what)),
        };
        response.consume(interim);
        if response.is_empty() {
            return Ok(false);
        }
    }
}

/// What a whole head says about sending the request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) status: u16,
    /// How long the service asks to wait, if it cannot serve now.
    pub(super) retry_after: Option<Duration>,
}

/// Looks at a whole head.
pub(super) fn look(response: &Buffer, is_head: bool) -> Result<Look, NoHead> {
    let mut fields = Fields::default();
    let head = match parse_response(response.filled(), &mut fields, is_head) {
        Ok(Some(head)) => head,
        Ok(None) => return Err(NoHead::Garbage("the response's head is cut off")),
        Err(what) => return Err(NoHead::Garbage(what)),
    };
    let asks = |field: &httparse::Header<'_>| {
        let is_asking = field.name.eq_ignore_ascii_case("retry-after");
        is_asking.then(|| retry::retry_after(field.value, wall_clock())).flatten()
    };
    let retry_after = match retry::is_unavailable(head.status) {
        true => head.fields.iter().find_map(asks),
        false => None,
    };
    Ok(Look { status: head.status, retry_after })
}
