//! The simulated network, and how a client connects in it.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use regatta_client::{Connect, Stream};
use regatta_core::{Endpoint, Instance, InstanceId, ServiceName};
use turmoil::net::TcpStream;

/// Where every simulated service listens, each on its own host.
pub const PORT: u16 = 8080;

/// A network with latencies of 2 to 8 ms, as between data centres of a city, that runs for at most so long on
/// its own clock.
pub fn network<'a>(seed: u64, at_most: Duration) -> turmoil::Sim<'a> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(5))
        .min_message_latency(Duration::from_millis(2))
        .max_message_latency(Duration::from_millis(8))
        .tcp_capacity(1024)
        .simulation_duration(at_most)
        .build()
}

/// Connects within the simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimConnector;

#[async_trait]
impl Connect for SimConnector {
    async fn connect(&self, endpoint: &Endpoint) -> io::Result<Stream> {
        let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
        Ok(Stream::new(stream))
    }
}

/// The host of a service's instance, such as `users-0`.
pub fn host_name(service: &str, number: usize) -> String {
    format!("{service}-{number}")
}

/// The instance on such a host.
///
/// # Panics
///
/// When the service's name is none.
pub fn instance(service: &str, number: usize) -> Instance {
    let host = host_name(service, number);
    let name: ServiceName = service.parse().expect("a test names its services well");
    let endpoint = Endpoint::try_new(&host, PORT).expect("a host of a simulation has a name");
    Instance::new(name, endpoint).with_id(InstanceId::new(&host))
}
