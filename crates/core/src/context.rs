//! What a request carries through the process that serves it.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use crate::{Deadline, TraceContext};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
}

/// What a request carries: set where it comes in, read where it calls out.
///
/// It travels with the future ([`Context::scope`]), not with the thread, so it survives every
/// `.await`. A task that is spawned does not inherit it; scope the task's future to pass it on.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Context {
    /// The span that serves the request; outgoing calls are its children.
    pub trace: Option<TraceContext>,
    /// `X-Request-Id`, echoed or made at the edge.
    pub request_id: Option<Arc<str>>,
    /// When the caller stops waiting; outgoing calls get what is left.
    pub deadline: Option<Deadline>,
    /// Whether this request is itself a retry; then outgoing calls are not retried, so that
    /// attempts do not multiply along a chain of hops.
    pub serves_retry: bool,
    /// How urgent the request says it is (RFC 9218), 0 (most urgent) to 7; outgoing calls say the
    /// same. None: nothing was said, which counts as 3.
    pub urgency: Option<u8>,
    /// W3C `baggage`, passed on as it came; at most 8192 bytes.
    pub baggage: Option<Arc<str>>,
}

impl Context {
    /// The context of the future that is being polled on this thread; none outside a request.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Looks at the context of the future that is being polled on this thread, without a handle of
    /// its own as [`Context::current`] makes one.
    pub fn with_current<T>(look: impl FnOnce(Option<&Self>) -> T) -> T {
        CURRENT.with_borrow(|current| look(current.as_deref()))
    }

    /// Runs something at once with the context in `slot` as the current one, which is in `slot`
    /// again afterwards; a future that is polled so needs no handle of its own.
    // Inlined, so that what the work owns is not moved once more on its way in.
    #[inline]
    pub fn enter<T>(slot: &mut Option<Arc<Self>>, work: impl FnOnce() -> T) -> T {
        /// Puts the outer context back, also when the work panics.
        struct Restore<'a>(&'a mut Option<Arc<Context>>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
            }
        }
        CURRENT.with_borrow_mut(|current| std::mem::swap(current, slot));
        let _restore = Restore(slot);
        work()
    }

    /// Runs the future with this context as the current one, in place of any outer one.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the future it wraps.
    pub fn scope<F: Future>(self: Arc<Self>, future: F) -> InContext<F> {
        InContext { context: Some(self), future }
    }
}

pin_project! {
    /// A future that runs in a [`Context`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InContext<F> {
        context: Option<Arc<Context>>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        Context::enter(this.context, || this.future.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    fn named(id: &str) -> Arc<Context> {
        Arc::new(Context { request_id: Some(id.into()), ..Context::default() })
    }

    fn current_id() -> Option<Arc<str>> {
        Context::current().and_then(|context| context.request_id.clone())
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut task::Context::from_waker(Waker::noop()))
    }

    /// Is pending once, so that a test sees both polls.
    async fn pause() {
        let mut waited = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[test]
    fn is_seen_by_the_future_at_every_poll_and_by_nobody_else() {
        let mut future = pin!(named("a").scope(async {
            let before = current_id();
            pause().await;
            (before, current_id())
        }));
        assert!(poll(future.as_mut()).is_pending());
        assert_eq!(current_id(), None);
        assert_eq!(poll(future), Poll::Ready((Some("a".into()), Some("a".into()))));
        assert_eq!(current_id(), None);
    }

    #[test]
    fn an_inner_scope_ends_with_its_future() {
        let outer = pin!(named("outer").scope(async {
            let inner = named("inner").scope(async { current_id() }).await;
            (inner, current_id())
        }));
        assert_eq!(poll(outer), Poll::Ready((Some("inner".into()), Some("outer".into()))));
    }

    #[test]
    fn a_panic_inside_does_not_leak_the_context() {
        let panicking = std::panic::catch_unwind(|| {
            let future = pin!(named("a").scope(async { panic!("expected by this test") }));
            poll(future)
        });
        assert!(panicking.is_err());
        assert_eq!(current_id(), None);
    }
}
