//! The registrar, with time paused and a registry that fails on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use regatta_core::{Endpoint, Instance, InstanceId};
use regatta_discovery::{
    Check, MemoryRegistry, Register, RegisterError, Registrar, RegistrarSettings, Registration,
    Standing,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::test(start_paused = true)]
async fn registers_at_start_and_deregisters_at_drain() {
    let registry = MemoryRegistry::new();
    let (mut running, drain) = start(Arc::new(registry.clone()));
    running.wait_for(|standing| *standing == Standing::Registered).await;
    assert_eq!(registry.registrations(), [users()]);
    drain.cancel();
    running.wait_for(|standing| *standing == Standing::Gone).await;
    assert!(registry.registrations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restarted_process_is_another_unless_it_says_which_it_is() {
    let mut of_any_life = users();
    of_any_life.instance.incarnation = 0;
    let registry = MemoryRegistry::new();
    let shared = Arc::new(registry.clone());
    let made = Registrar::try_new(shared, of_any_life.clone(), RegistrarSettings::default());
    let (registrar, drain) = (made.unwrap(), CancellationToken::new());
    let mut running = registrar.handle();
    TaskTracker::new().spawn(registrar.run(drain));
    running.wait_for(|standing| *standing == Standing::Registered).await;
    let held = registry.registrations();
    assert!(held[0].instance.incarnation > 1_700_000_000_000, "{held:?}");
    assert!(registry.is_registered(&of_any_life).await.unwrap());
    assert!(!registry.is_registered(&users()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn registers_again_within_a_verification_when_the_registry_was_wiped() {
    let registry = MemoryRegistry::new();
    let (mut running, _drain) = start(Arc::new(registry.clone()));
    running.wait_for(|standing| *standing == Standing::Registered).await;
    registry.wipe();
    tokio::time::advance(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(registry.registrations(), [users()]);
}

#[tokio::test(start_paused = true)]
async fn says_that_it_fails_during_an_outage_and_heals_by_itself() {
    let registry = MemoryRegistry::new();
    registry.set_away(true);
    let (mut running, _drain) = start(Arc::new(registry.clone()));
    let standing = running.wait_for(|standing| *standing != Standing::Pending).await;
    assert!(matches!(&standing, Standing::Failing { error } if error.contains("refused")));
    registry.set_away(false);
    let before = Instant::now();
    running.wait_for(|standing| *standing == Standing::Registered).await;
    assert!(before.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_is_given_up_after_the_timeout_and_holds_up_no_drain() {
    let (mut running, drain) = start(Arc::new(Hanging::default()));
    let before = Instant::now();
    running.wait_for(|standing| matches!(standing, Standing::Failing { .. })).await;
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    let before = Instant::now();
    drain.cancel();
    running.wait_for(|standing| *standing == Standing::Gone).await;
    assert_eq!(before.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_drain_during_registration_waits_for_it_and_leaves_no_ghost() {
    let registry = Arc::new(Slow::default());
    let (mut running, drain) = start(registry.clone());
    settle().await;
    drain.cancel();
    running.wait_for(|standing| *standing == Standing::Gone).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(registry.inner.registrations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn does_not_flood_a_registry_that_fails() {
    let registry = Arc::new(Hanging { fails_at_once: true, ..Hanging::default() });
    let (_running, _drain) = start(registry.clone());
    tokio::time::sleep(Duration::from_secs(600)).await;
    // With full jitter up to 10 s, ten minutes hold some 120 calls.
    assert!((60..400).contains(&registry.calls.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_nobody_can_ask_says_thrice_a_ttl_that_it_lives() {
    let registry = Arc::new(Listening::default());
    let (mut running, _drain) = start_with(registry.clone(), silent());
    running.wait_for(|standing| *standing == Standing::Registered).await;
    assert_eq!(registry.beats.load(Ordering::Relaxed), 1, "it is healthy from the beginning");
    tokio::time::sleep(Duration::from_secs(90)).await;
    // Thirty times three seconds, each up to a tenth early.
    assert!((30..=35).contains(&registry.beats.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_heartbeat_is_of_nobody_registers_again() {
    let registry = Arc::new(Listening::default());
    let (mut running, _drain) = start_with(registry.clone(), silent());
    running.wait_for(|standing| *standing == Standing::Registered).await;
    registry.inner.wipe();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(registry.inner.registrations(), [silent()]);
}

#[test]
fn settings_out_of_range_are_named() {
    let mut settings = RegistrarSettings::default();
    settings.verify_every = Duration::ZERO;
    let made = Registrar::try_new(Arc::new(MemoryRegistry::new()), users(), settings);
    let error = made.unwrap_err().to_string();
    assert_eq!(error, "verify_every is 0ns; set it to 100ms or more");
}

/// Never answers, or fails at once.
#[derive(Debug, Default)]
struct Hanging {
    fails_at_once: bool,
    calls: AtomicUsize,
}

impl Hanging {
    async fn answer<T>(&self) -> Result<T, RegisterError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fails_at_once {
            let (registry, message) = ("here".to_owned(), String::new());
            return Err(RegisterError::Failed { registry, status: 500, message });
        }
        std::future::pending().await
    }
}

#[async_trait]
impl Register for Hanging {
    fn address(&self) -> &str {
        "here"
    }

    async fn register(&self, _: &Registration) -> Result<(), RegisterError> {
        self.answer().await
    }

    async fn deregister(&self, _: &InstanceId) -> Result<(), RegisterError> {
        self.answer().await
    }

    async fn is_registered(&self, _: &Registration) -> Result<bool, RegisterError> {
        self.answer().await
    }
}

/// Registers a second late, even when nobody waits for the answer any more.
#[derive(Debug, Default)]
struct Slow {
    inner: MemoryRegistry,
    tasks: TaskTracker,
}

#[async_trait]
impl Register for Slow {
    fn address(&self) -> &str {
        "slow"
    }

    async fn register(&self, registration: &Registration) -> Result<(), RegisterError> {
        let (inner, registration) = (self.inner.clone(), registration.clone());
        let late = async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            inner.register(&registration).await
        };
        self.tasks.spawn(late).await.unwrap()
    }

    async fn deregister(&self, id: &InstanceId) -> Result<(), RegisterError> {
        self.inner.deregister(id).await
    }

    async fn is_registered(&self, registration: &Registration) -> Result<bool, RegisterError> {
        self.inner.is_registered(registration).await
    }
}

/// Counts who says that it lives.
#[derive(Debug, Default)]
struct Listening {
    inner: MemoryRegistry,
    beats: AtomicUsize,
}

#[async_trait]
impl Register for Listening {
    fn address(&self) -> &str {
        "listening"
    }

    async fn register(&self, registration: &Registration) -> Result<(), RegisterError> {
        self.inner.register(registration).await
    }

    async fn deregister(&self, id: &InstanceId) -> Result<(), RegisterError> {
        self.inner.deregister(id).await
    }

    /// It knows whatever it is asked about, so that only a heartbeat tells.
    async fn is_registered(&self, _: &Registration) -> Result<bool, RegisterError> {
        Ok(true)
    }

    async fn heartbeat(&self, id: &InstanceId) -> Result<bool, RegisterError> {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.inner.heartbeat(id).await
    }
}

/// Silent for nine seconds, it is taken for dead.
fn silent() -> Registration {
    users().with_check(Check::ttl(Duration::from_secs(9)))
}

fn start(registry: Arc<dyn Register>) -> (regatta_discovery::RegistrarHandle, CancellationToken) {
    start_with(registry, users())
}

fn start_with(
    registry: Arc<dyn Register>,
    registration: Registration,
) -> (regatta_discovery::RegistrarHandle, CancellationToken) {
    let settings = RegistrarSettings::default();
    let registrar = Registrar::try_new(registry, registration, settings).unwrap();
    let (handle, drain) = (registrar.handle(), CancellationToken::new());
    TaskTracker::new().spawn(registrar.run(drain.clone()));
    (handle, drain)
}

/// Lets the other tasks run as far as they get without time.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn users() -> Registration {
    let endpoint = Endpoint::try_new("127.0.0.1", 8080).unwrap();
    Registration::new(Instance::new("users".parse().unwrap(), endpoint).with_incarnation(1))
}
