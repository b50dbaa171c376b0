//! The process's own log: lines on standard output, records to the collector.

mod install;
pub(crate) use install::install;

mod fields;
mod line;
mod push;

use std::sync::Arc;

use regatta_core::Context;

/// Logs in the context of a request that is over.
pub(crate) fn in_context(context: &Arc<Context>, log: impl FnOnce()) {
    let mut future = std::pin::pin!(Arc::clone(context).scope(async { log() }));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = Future::poll(future.as_mut(), &mut cx);
}
