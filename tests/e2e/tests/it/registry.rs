//! The registry away, wiped and back: nobody who calls notices.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use regatta_e2e::{Caller, System, Traffic};

const SERVICES: [&str; 3] = ["user-service", "order-service", "payment-service"];

/// Longer than a service takes to see that it is registered no more (10 s), on a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test]
async fn with_the_registry_hanging_requests_go_on_and_after_it_there_is_no_ghost() {
    let system = unlimited();
    let traffic = reads(&system).await;
    system.signal("control-plane", Signal::SIGSTOP).unwrap();
    traffic.more(300).await.unwrap();
    system.signal("control-plane", Signal::SIGCONT).unwrap();
    traffic.more(100).await.unwrap();
    has_not_failed(traffic).await;
    every_service_is_registered_once(&system).await;
}

#[tokio::test]
async fn with_the_registry_killed_requests_go_on_and_services_stay_in_it() {
    let system = unlimited();
    let traffic = reads(&system).await;
    let registry = system.part("control-plane").unwrap();
    system.replace(&registry, Signal::SIGKILL).await.unwrap();
    traffic.more(200).await.unwrap();
    has_not_failed(traffic).await;
    every_service_is_registered_once(&system).await;
}

#[tokio::test]
async fn with_the_registry_wiped_requests_go_on_and_services_come_back_to_it() {
    let system = unlimited();
    let traffic = reads(&system).await;
    let registry = system.part("control-plane").unwrap();
    // What it has open it still has; the process after it finds nothing.
    std::fs::remove_dir_all(system.folder().join(".regatta/data/control-plane")).unwrap();
    system.replace(&registry, Signal::SIGKILL).await.unwrap();
    traffic.more(200).await.unwrap();
    every_service_is_registered_once(&system).await;
    traffic.more(100).await.unwrap();
    has_not_failed(traffic).await;
}

/// Steady reads of a user who is not there: 404 is the right answer.
async fn reads(system: &System) -> Traffic {
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let traffic = Traffic::start(4, Duration::from_millis(5), move |_| {
        let caller = caller.clone();
        async move { caller.get("/user-service/users/1").await }
    });
    traffic.more(50).await.unwrap();
    traffic
}

async fn has_not_failed(traffic: Traffic) {
    let report = traffic.stop().await;
    assert_eq!(report.others(&[404]), 0, "{:?} {:?}", report.statuses, report.examples);
}

async fn every_service_is_registered_once(system: &System) {
    let registry = Caller::new(&system.url("control-plane").unwrap()).unwrap();
    let all = async {
        let mut missing: BTreeSet<&str> = SERVICES.into();
        while !missing.is_empty() {
            for service in missing.clone() {
                let path = format!("/v1/health/service/{service}?passing=1");
                // It may be on its way back.
                let Ok(answer) = registry.get(&path).await else { continue };
                let count = answer.json().as_array().map_or(0, Vec::len);
                assert!(count <= 1, "a ghost of {service}: {}", answer.text);
                if count == 1 {
                    missing.remove(service);
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(BACK_WITHIN, all).await.expect("every service is registered in time");
}

/// The reference system without a rate limit.
fn unlimited() -> System {
    let change = |text: String| text.replace("per_client: 60/min", "per_client: none");
    System::start_changed(change).unwrap()
}
