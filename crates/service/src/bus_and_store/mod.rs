//! Events of a service: its bus, its event store, and the tasks that move between them.

mod open;

mod bus;

mod handle;
pub use handle::Events;

mod observed;

mod store;

mod samples;
