//! For tests: real servers on free ports, ended with the test.
//!
//! What a test starts is gone when the test is, also when it fails, panics or is killed: every
//! child is killed on drop, and by the kernel when the test process dies (Linux).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let postgres = regatta_testkit::Postgres::start().await?;
//! let url = postgres.database().await?; // postgres://postgres@127.0.0.1:41234/test_1
//! # Ok(())
//! # }
//! ```
//!
//! A server that is not installed fails the test with the command that installs it; nothing is
//! skipped in silence.

mod port;
pub use port::{free_port, free_ports};

mod wait;
pub use wait::{wait_until, wait_until_blocking};

mod spawner;

mod process;
pub use process::Process;

mod postgres;
pub use postgres::{Postgres, PostgresError};

mod redis;
pub use redis::{Redis, RedisError};

mod nats;
pub use nats::{Nats, NatsError};

mod etcd;
pub use etcd::{Etcd, EtcdError, etcdctl};

mod consul;
pub use consul::{Consul, ConsulError, consul, consul_command};

mod fetched;
pub use fetched::{PythonError, bullseye, python};

mod sdk;
pub use sdk::{SdkError, cloudevents_sdk};
