//! regatta.yaml: which services make a system, and how they are reached.
//!
//! [`Manifest::load`] reads the file and reports every problem at once, each with its line. What it
//! gives back is complete and consistent: names are unique, needs exist and have no cycle, weights
//! add up to something, ports do not clash, rules of the gateway can match.
//!
//! ```
//! use regatta_manifest::{Manifest, Run};
//!
//! let text = "
//! name: shop
//! services:
//!   user-service:
//!     run: { cargo: user-service }
//!     versions: { v1: 90, v2: 10 }
//!   order-service:
//!     run: { cargo: order-service }
//!     needs: [user-service]
//! ";
//! let manifest = Manifest::parse(text, "regatta.yaml")?;
//! let users = manifest.service("user-service").unwrap();
//! assert_eq!(users.run, Run::Cargo { package: "user-service".to_owned() });
//! let versions: Vec<_> = users.instances().map(|instance| instance.version).collect();
//! assert_eq!(versions, [Some("v1"), Some("v2")]);
//!
//! let wrong = text.replace("needs: [user-service]", "needs: [user-servce]");
//! let problems = Manifest::parse(&wrong, "regatta.yaml").unwrap_err();
//! assert!(problems.to_string().starts_with("regatta.yaml:9:13: "));
//! assert!(problems.to_string().ends_with("did you mean `user-service`?"));
//! # Ok::<(), regatta_manifest::Problems>(())
//! ```
//!
//! It starts nothing and renders nothing.

mod manifest;
pub use manifest::{ControlPlane, ControlPlaneTls, Manifest};

mod service;
pub use service::{Health, PlannedInstance, Run, Service, Version};

mod gateway;
pub use gateway::{
    AccessLog, Auth, Gateway, Keys, LimitKey, Limits, OnOutage, PerClient, Requirement, Route,
    RouteLimit, Timeouts,
};

mod traffic;
pub use traffic::{Breaker, Concurrency, Hedge, Outlier, SuccessRate, Switch, Traffic};

mod rate;
pub use rate::{InvalidRate, Rate};

mod problem;
pub use problem::{LoadError, Problem, Problems};

mod check;
mod read;
pub use read::is_reserved;
