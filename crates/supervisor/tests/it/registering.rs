//! Parts that do not register themselves.

use std::sync::Arc;

use regatta_discovery::{MemoryRegistry, Probe};
use regatta_manifest::Health;
use regatta_supervisor::{Kind, Part, PartState, Registry, Settings};

use crate::fixture::{Running, get, part_that, settings, until};

#[tokio::test]
async fn a_ready_part_is_in_the_registry_and_a_stopped_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryRegistry::new();
    let mut running = Running::start(shop(folder.path(), &memory));
    let state = running.until_running().await;

    let known = memory.registrations();
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0].instance.id.as_str(), "web");
    let url = format!("http://{}", known[0].instance.endpoint);
    assert_eq!(url, state.parts[1].url);
    assert_eq!(known[0].check.as_ref().unwrap().probe, Probe::Tcp);

    running.stopped().await.unwrap();
    assert_eq!(memory.registrations(), []);
}

#[tokio::test]
async fn a_part_that_died_leaves_the_registry_and_returns_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryRegistry::new();
    let mut running = Running::start(shop(folder.path(), &memory));
    let url = running.until_running().await.parts[1].url.clone();
    let life = |memory: &MemoryRegistry| memory.registrations()[0].instance.incarnation;
    let first = life(&memory);
    get(&url, "/die").await;
    running.until_part("web", PartState::Restarting).await;
    assert_eq!(memory.registrations(), [], "callers are not sent to a process that is gone");
    running.until_part("web", PartState::Ready).await;
    until("it is registered again", || memory.registrations().len() == 1).await;
    assert_ne!(life(&memory), first);
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn without_a_registry_a_part_serves_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryRegistry::new();
    memory.set_away(true);
    let mut running = Running::start(shop(folder.path(), &memory));
    let url = running.until_running().await.parts[1].url.clone();
    assert_eq!(get(&url, "/").await, 200);
    memory.set_away(false);
    until("it is registered once there is one", || memory.registrations().len() == 1).await;
    running.stopped().await.unwrap();
}

/// A system of a part that stands for the registry and one to be registered.
fn shop(folder: &std::path::Path, memory: &MemoryRegistry) -> Settings {
    let mut registry = part_that("registry", "serve");
    registry.kind = Kind::ControlPlane;
    // As the environment of a control plane has no PORT, it is told which one in its own way.
    let port = free_port();
    registry.port = regatta_supervisor::Port::Fixed { port, key: "test".to_owned() };
    registry.environment.insert("PORT".to_owned(), port.to_string());
    let web = Part { register: true, health: Health::Tcp, ..part_that("web", "serve") };
    let mut settings = settings(folder, vec![registry, web]);
    let memory = memory.clone();
    settings.registry = Some(Registry::new(move |_url| Ok(Arc::new(memory.clone()))));
    settings
}

fn free_port() -> u16 {
    regatta_supervisor::ports::free_port("127.0.0.1", &mut Default::default()).unwrap()
}
