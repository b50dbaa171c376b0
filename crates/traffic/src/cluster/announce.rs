//! Tells the observer of each change once, in order, outside of every lock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_core::{Instance, ServiceName};

use super::{Event, Observer, What};

/// Changes on their way to the observer.
pub(super) struct Announcer {
    service: ServiceName,
    observer: Option<Observer>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// As long as one thread announces, at most what happens meanwhile.
    waiting: VecDeque<(Option<Arc<Instance>>, What)>,
    announcing: bool,
    /// Nobody announces while someone holds it.
    holds: u32,
}

impl Announcer {
    pub(super) fn new(service: ServiceName, observer: Option<Observer>) -> Self {
        Self { service, observer, queue: Mutex::default() }
    }

    /// Notes a change; [`Self::deliver`] tells it. May be called under the cluster's lock.
    pub(super) fn note(&self, instance: Option<&Arc<Instance>>, what: What) {
        if self.observer.is_some() {
            self.lock().waiting.push_back((instance.cloned(), what));
        }
    }

    /// Does something that may deliver changes, without delivering any: under the cluster's lock.
    pub(super) fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        self.lock().holds += 1;
        let done = work();
        self.lock().holds -= 1;
        done
    }

    /// Tells what is noted, unless another thread is at it: it will go on to these, so the order
    /// holds and an observer may use the cluster. Never called under a lock.
    pub(super) fn deliver(&self) {
        /// Lets the next change be announced although an observer panicked.
        struct Done<'a>(&'a Announcer);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.lock().announcing = false;
            }
        }
        let Some(observer) = &self.observer else { return };
        let mut queue = self.lock();
        if queue.holds > 0 || queue.announcing {
            return;
        }
        queue.announcing = true;
        while queue.holds == 0
            && let Some((instance, what)) = queue.waiting.pop_front()
        {
            drop(queue);
            let done = Done(self);
            observer(&Event { service: &self.service, instance: instance.as_deref(), what });
            std::mem::forget(done);
            queue = self.lock();
        }
        queue.announcing = false;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A queue is whole after each operation.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observer_that_causes_a_change_hears_of_it_afterwards() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let announcer = Arc::new_cyclic(|announcer: &std::sync::Weak<Announcer>| {
            let (announcer, heard) = (announcer.clone(), Arc::clone(&heard));
            let observer = move |event: &Event<'_>| {
                if event.what == What::Panic(true) {
                    let announcer = announcer.upgrade().unwrap();
                    announcer.note(None, What::Panic(false));
                    announcer.deliver();
                }
                heard.lock().unwrap().push(event.what.clone());
            };
            Announcer::new("a".parse().unwrap(), Some(Arc::new(observer)))
        });
        announcer.note(None, What::Panic(true));
        announcer.deliver();
        announcer.deliver();
        assert_eq!(*heard.lock().unwrap(), [What::Panic(true), What::Panic(false)]);
    }

    #[test]
    fn what_happens_under_a_hold_is_told_after_it() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let observer = move |event: &Event<'_>| log.lock().unwrap().push(event.what.clone());
        let announcer = Announcer::new("a".parse().unwrap(), Some(Arc::new(observer)));
        announcer.hold(|| {
            announcer.note(None, What::Panic(true));
            announcer.deliver();
            assert!(heard.lock().unwrap().is_empty());
        });
        announcer.deliver();
        assert_eq!(*heard.lock().unwrap(), [What::Panic(true)]);
    }

    #[test]
    fn an_observer_that_panics_hears_of_the_next_change() {
        let heard = Arc::new(Mutex::new(0));
        let count = Arc::clone(&heard);
        let observer = move |_: &Event<'_>| {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            assert!(*count > 1, "the first time");
        };
        let announcer = Announcer::new("a".parse().unwrap(), Some(Arc::new(observer)));
        announcer.note(None, What::Panic(true));
        let told = std::panic::AssertUnwindSafe(|| announcer.deliver());
        assert!(std::panic::catch_unwind(told).is_err());
        announcer.note(None, What::Panic(false));
        announcer.deliver();
        assert_eq!(*heard.lock().unwrap_or_else(PoisonError::into_inner), 2);
    }
}
