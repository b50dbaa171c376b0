//! A handler from a closure.

use async_trait::async_trait;

use crate::{CloudEvent, Failure, Handler};

/// What [`handler`] makes.
#[derive(Clone, Debug)]
pub struct HandlerFn<F> {
    function: F,
}

/// Makes a handler of a closure, for effects that need not know the delivery's number.
///
/// ```
/// use regatta_events::{CloudEvent, handler};
///
/// let welcome = handler(async |event: CloudEvent| {
///     println!("welcome, {:?}", event.json());
///     Ok(())
/// });
/// # let _ = welcome;
/// ```
pub fn handler<F, R>(function: F) -> HandlerFn<F>
where
    F: Fn(CloudEvent) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), Failure>> + Send + 'static,
{
    HandlerFn { function }
}

#[async_trait]
impl<F, R> Handler for HandlerFn<F>
where
    F: Fn(CloudEvent) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), Failure>> + Send + 'static,
{
    async fn handle(&self, event: &CloudEvent, _delivery: u32) -> Result<(), Failure> {
        (self.function)(event.clone()).await
    }
}
