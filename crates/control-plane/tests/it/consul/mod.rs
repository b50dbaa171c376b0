//! Consul's interface: one suite, run against the control plane and against a real Consul.

mod blocking;
mod catalog;
mod checks;
mod cli;
mod errors;
mod filters;
mod identity;
mod names;
mod prometheus;
mod python;
mod services;

use regatta_testkit::Consul;

use super::api::Api;
use super::server::Server;

/// One of the two servers.
pub(crate) struct Target {
    pub(crate) api: Api,
    /// Where it answers DNS.
    pub(crate) dns: String,
    /// The name of its node.
    pub(crate) node: String,
}

impl Target {
    async fn new(http: &str, dns: String) -> Self {
        let api = Api::new(http);
        let own = api.get("/v1/agent/self").await.json();
        Self { api, dns, node: own["Config"]["NodeName"].as_str().unwrap().to_owned() }
    }
}

impl std::ops::Deref for Target {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

/// A control plane that answers DNS, too.
pub(crate) async fn embedded() -> (Server, Target) {
    let server = Server::with(|settings| {
        settings.dns.listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let target = Target::new(&server.address.to_string(), server.dns_address()).await;
    (server, target)
}

pub(crate) async fn real() -> (Consul, Target) {
    let server = Consul::start().await.unwrap_or_else(|error| panic!("{error}"));
    let target = Target::new(&server.address(), server.dns_address()).await;
    (server, target)
}

macro_rules! on_both {
    ($($name:ident: $suite:path;)+) => {
        mod embedded {
            use super::{blocking, catalog, checks, errors, filters, identity, names, services};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let (_server, target) = super::embedded().await;
                    $suite(&target).await;
                }
            )+
        }

        mod real_consul {
            use super::{blocking, catalog, checks, errors, filters, identity, names, services};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let (_server, target) = super::real().await;
                    $suite(&target).await;
                }
            )+
        }
    };
}

on_both! {
    services_come_and_go: services::suite;
    checks_say_how_services_are: checks::suite;
    nodes_of_others_are_in_the_catalog: catalog::suite;
    changes_wake_those_who_wait: blocking::suite;
    rows_are_filtered_by_expressions: filters::suite;
    mistakes_are_told_in_words: errors::suite;
    a_client_learns_whom_it_talks_to: identity::suite;
    names_are_answered_over_dns: names::suite;
}
