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

/// What a head says about sending the request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) status: u16,
    /// How long the service asks to wait, if it cannot serve now.
    pub(super) retry_after: Option<Duration>,
}

/// Reads until a head is whole, and looks at it.
///
/// # Cancel safety
///
/// Cancel safe: what was read is in the buffer.
pub(super) async fn head<R: tokio::io::AsyncRead + Unpin>(
    upstream: &mut R,
    response: &mut Buffer,
    is_head: bool,
    deadline: Instant,
    alarm: &mut Alarm,
) -> Result<Look, NoHead> {
    loop {
        match alarm.within(deadline, read_some(upstream, response, MOST_RESPONSE_HEAD)).await {
            Err(TimedOut) => return Err(NoHead::TooLate),
            Ok(Err(_)) => return Err(NoHead::Broken),
            Ok(Ok(0)) if response.filled().len() >= MOST_RESPONSE_HEAD => {
                return Err(NoHead::Garbage("the response's head is too long"));
            }
            Ok(Ok(0)) if response.is_empty() => return Err(NoHead::Broken),
            Ok(Ok(0)) => return Err(NoHead::Garbage("the response's head is cut off")),
            Ok(Ok(_)) => {
                if let Some(look) = look(response, is_head)? {
                    return Ok(look);
                }
            }
        }
    }
}

/// Looks at a final head, or one that switches protocols, if it is whole. Interim ones are
/// dropped: the gateway has sent `100 Continue` itself and promises no early hints.
fn look(response: &mut Buffer, is_head: bool) -> Result<Option<Look>, NoHead> {
    loop {
        let mut fields = Fields::default();
        let head = match parse_response(response.filled(), &mut fields, is_head) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(what) => return Err(NoHead::Garbage(what)),
        };
        if head.status >= 200 || head.status == 101 {
            let asks = |field: &httparse::Header<'_>| {
                let is_asking = field.name.eq_ignore_ascii_case("retry-after");
                is_asking.then(|| retry::retry_after(field.value, wall_clock())).flatten()
            };
            let retry_after = match retry::is_unavailable(head.status) {
                true => head.fields.iter().find_map(asks),
                false => None,
            };
            return Ok(Some(Look { status: head.status, retry_after }));
        }
        let interim = head.length;
        response.consume(interim);
        if response.is_empty() {
            return Ok(None);
        }
    }
}
