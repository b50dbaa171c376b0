//! Parts that do not register themselves.

use std::sync::Arc;
use std::time::Duration;

use regatta_discovery::{MemoryRegistry, Probe};
use regatta_manifest::Health;
use regatta_supervisor::{Error, Event, Kind, Part, PartState, PartStatus, Registry, Settings};

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
async fn the_system_runs_once_the_registry_lists_its_parts_and_they_serve_before() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryRegistry::new();
    memory.set_away(true);
    let mut running = Running::start(shop(folder.path(), &memory));
    let waits =
        |part: &PartStatus| part.note.as_deref() == Some("the registry does not list it yet");
    let url = running
        .until(|event| match event {
            Event::Running(_) => panic!("it runs, and callers do not find its parts"),
            Event::Part(part) if part.name == "web" && waits(&part) => Some(part.url),
            _ => None,
        })
        .await;
    assert_eq!(get(&url, "/").await, 200);
    memory.set_away(false);
    let state = running.until_running().await;
    assert_eq!(memory.registrations().len(), 1);
    assert_eq!((state.parts[1].state, &state.parts[1].note), (PartState::Ready, &None));
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn a_part_that_nobody_registers_stops_the_start_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = shop(folder.path(), &MemoryRegistry::new());
    settings.plan.parts[1].register = false;
    settings.ready_within = Duration::from_millis(1500);
    let error = Running::start(settings).outcome().await.unwrap_err();
    assert!(matches!(&error, Error::NotListed { part, .. } if part == "web"), "{error}");
    let text = error.to_string();
    assert!(text.contains("within 1.5 s") && text.contains("`register: true`"), "{text}");
}

#[tokio::test]
async fn a_part_that_is_not_to_be_called_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryRegistry::new();
    let mut settings = shop(folder.path(), &memory);
    (settings.plan.parts[1].register, settings.plan.parts[1].is_listed) = (false, false);
    let mut running = Running::start(settings);
    running.until_running().await;
    assert_eq!(memory.registrations(), []);
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn a_part_that_starts_again_is_ready_also_while_the_registry_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryRegistry::new();
    let mut running = Running::start(shop(folder.path(), &memory));
    let url = running.until_running().await.parts[1].url.clone();
    memory.set_away(true);
    get(&url, "/die").await;
    running.until_part("web", PartState::Restarting).await;
    let part = running.until_part("web", PartState::Ready).await;
    assert_eq!(get(&part.url, "/").await, 200);
    running.stopped().await.unwrap();
}

/// A system of a part that stands for the registry and one to be registered.
fn shop(folder: &std::path::Path, memory: &MemoryRegistry) -> Settings {
    let mut registry = part_that("registry", "serve");
    (registry.kind, registry.is_listed) = (Kind::ControlPlane, false);
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
