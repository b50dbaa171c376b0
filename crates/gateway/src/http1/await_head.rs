//! Waits for the head of an upstream's answer.

use regatta_traffic::verdict::{self, Head, Verdict};
use tokio::time::Instant;

use super::io::read_some;
use super::{Fields, ResponseHead, parse_response};
use crate::shared::wall_clock;
use crate::upstream::is_overloaded;
use crate::worker::alarm::Alarm;
use crate::worker::buffer::Buffer;

/// Bytes of a response's head.
const MOST_RESPONSE_HEAD: usize = 64 * 1024;

/// Why there is no response head.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoHead {
    Broken,
    Garbage(&'static str),
    TooLate,
}

/// A head, and what it says about sending the request again.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) head: Box<ResponseHead>,
    pub(super) verdict: Verdict,
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
    let read = read_head(upstream, response, is_head);
    alarm.within(deadline, read).await.unwrap_or(Err(NoHead::TooLate))
}

/// The same without a deadline.
///
/// # Cancel safety
///
/// Cancel safe: what was read is in the buffer.
pub(super) async fn read_head<R: tokio::io::AsyncRead + Unpin>(
    upstream: &mut R,
    response: &mut Buffer,
    is_head: bool,
) -> Result<Look, NoHead> {
    loop {
        match read_some(upstream, response, MOST_RESPONSE_HEAD).await {
            Err(_) => return Err(NoHead::Broken),
            Ok(0) if response.filled().len() >= MOST_RESPONSE_HEAD => {
                return Err(NoHead::Garbage("the response's head is too long"));
            }
            Ok(0) if response.is_empty() => return Err(NoHead::Broken),
            Ok(0) => return Err(NoHead::Garbage("the response's head is cut off")),
            Ok(_) => {
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
        let (head, fields) = match parse_response(response.filled(), &mut fields, is_head) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(what) => return Err(NoHead::Garbage(what)),
        };
        if head.status >= 200 || head.status == 101 {
            let (status, asks) = (head.status, |field: &&httparse::Header<'_>| {
                field.name.eq_ignore_ascii_case("retry-after")
            });
            // Looked for only where it has a say.
            let retry_after = match is_overloaded(status) {
                true => fields.iter().find(asks).map(|field| field.value),
                false => None,
            };
            let said = Head { status, retry_after, ..Head::default() };
            let verdict = verdict::http(&said, wall_clock);
            return Ok(Some(Look { head: Box::new(head), verdict }));
        }
        let interim = head.length;
        response.consume(interim);
        if response.is_empty() {
            return Ok(None);
        }
    }
}
