//! What belongs to one core: its buffers, its upstream connections, its random numbers.

mod run;
pub(crate) use run::{Listeners, run};
mod spawn;
pub(crate) use spawn::{Spawner, spawn, tasks};
pub(crate) mod activity;
pub(crate) mod alarm;
pub(crate) mod buffer;
pub(crate) mod date;
pub(crate) mod hash;
pub(crate) mod pool;
pub(crate) mod random;
