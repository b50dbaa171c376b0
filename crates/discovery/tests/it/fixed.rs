//! The registry that is a list in a setting.

use regatta_core::{Endpoint, Instance, ServiceName};
use regatta_discovery::{StaticRegistry, conformance};

#[tokio::test(start_paused = true)]
async fn a_list_in_a_setting_conforms() {
    let registry: StaticRegistry =
        "static:users=127.0.0.1:8081,[::1]:8080,users.internal:80;orders=127.0.0.1:9"
            .parse()
            .unwrap();
    let endpoints = ["127.0.0.1:8081", "[::1]:8080", "users.internal:80"].map(endpoint);
    conformance::unchanging(&registry, &name("users"), &endpoints).await;
    conformance::unchanging(&registry, &name("orders"), &[endpoint("127.0.0.1:9")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_of_instances_conforms_and_so_does_an_empty_one() {
    let instances = ["127.0.0.1:1", "127.0.0.1:2"].map(endpoint);
    let of_users = instances.clone().map(|endpoint| Instance::new(name("users"), endpoint));
    conformance::unchanging(&StaticRegistry::new(of_users), &name("users"), &instances).await;
    conformance::unchanging(&StaticRegistry::default(), &name("users"), &[]).await;
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}
