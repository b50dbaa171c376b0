//! Consul's DNS interface over the registry: names of services and nodes.

mod asked;
pub(crate) use asked::Asked;

mod found;
pub(crate) use found::Found;

mod zone;
pub(crate) use zone::{Reply, Zone};

mod packet;
pub(crate) use packet::{Transport, respond};

mod server;
pub(crate) use server::{DnsBounds, DnsServer};

mod idle;
pub use idle::answer_idle;
