//! A small body as it was sent, to send it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

/// Bytes of a body that are kept; a longer one is sent once. As in the calls of services.
pub(super) const MOST_KEPT: u64 = 64 * 1024;

/// What has been sent of a body. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept(Arc<Mutex<State>>);

/// A body once more.
#[derive(Clone, Debug, Default)]
pub(super) struct Again {
    pub(super) data: VecDeque<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
}

#[derive(Debug, Default)]
struct State {
    sent: Again,
    size: u64,
    is_whole: bool,
}

impl Kept {
    /// A frame is sent.
    pub(super) fn add(&self, frame: &Frame<Bytes>) {
        let mut state = self.lock();
        if let Some(data) = frame.data_ref() {
            state.size += data.len() as u64;
            if state.size > MOST_KEPT {
                state.sent = Again::default();
                return;
            }
            state.sent.data.push_back(data.clone());
        } else if let Some(trailers) = frame.trailers_ref() {
            state.sent.trailers = Some(trailers.clone());
        }
    }

    /// The last frame was sent.
    pub(super) fn end(&self) {
        self.lock().is_whole = true;
    }

    /// The body once more; none while it has not ended, or when it was too long.
    pub(super) fn again(&self) -> Option<Again> {
        let state = self.lock();
        (state.is_whole && state.size <= MOST_KEPT).then(|| state.sent.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Again {
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        let data = self.data.pop_front().map(Frame::data);
        data.or_else(|| self.trailers.take().map(Frame::trailers))
    }

    pub(super) fn is_over(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_that_has_ended_comes_again_with_its_trailers() {
        let kept = Kept::default();
        kept.add(&Frame::data(Bytes::from_static(b"ab")));
        assert!(kept.again().is_none(), "more may come");
        let mut trailers = HeaderMap::new();
        trailers.insert("sum", http::HeaderValue::from_static("1"));
        kept.add(&Frame::trailers(trailers));
        kept.end();
        for _ in 0..2 {
            let mut again = kept.again().unwrap();
            assert_eq!(again.next().unwrap().into_data().unwrap(), "ab");
            assert!(again.next().unwrap().is_trailers());
            assert!(again.next().is_none() && again.is_over());
        }
    }

    #[test]
    fn a_body_over_the_limit_is_not_kept() {
        let (kept, half) = (Kept::default(), Bytes::from(vec![0; 40 * 1024]));
        kept.add(&Frame::data(half.clone()));
        kept.add(&Frame::data(half));
        kept.end();
        assert!(kept.again().is_none());
    }
}
