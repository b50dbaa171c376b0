//! A service from its taken port to its end.

use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt as _;
use regatta_core::{InstanceId, ServiceName};
use regatta_discovery::{Check, Probe, Registrar, RegistrarSettings, Registration, Standing};
use regatta_telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::app::{App, app};
use crate::center::Reporter;
use crate::drain::{Budget, Stage};
use crate::health::{Dependency, Health};
use crate::reload::Reload;
use crate::server::{self, Limits, Phase};
use crate::settings::RegistrySettings;
use crate::tasks::Tasks;
use crate::{Error, Result, Service, identity, metrics};

/// A service that has its port and does not serve yet.
#[derive(Debug)]
#[must_use = "it serves nothing until `run`"]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    instance: InstanceId,
    app: App,
    limits: Limits,
    linger: Duration,
    drain_timeout: Duration,
    health: Health,
    registrar: Option<Registrar>,
    admin: Option<Admin>,
    tasks: Tasks,
    #[cfg(feature = "database")]
    databases: Vec<regatta_database::Database>,
    telemetry: Telemetry,
}

impl Server {
    pub(crate) fn bind(mut service: Service) -> Result<Self> {
        let settings = service.settings.clone();
        let address = SocketAddr::new(settings.server.host, settings.server.port);
        let (listener, address) = listen(address)?;
        let instance = identity::instance(&service.name, &settings.service, address);
        let instance = instance.map_err(Error::Advertise)?;
        let id = instance.id.clone();
        // Also one that was given to the builder.
        let register = service.registry.register.take().filter(|_| settings.registry.register);
        let registrar = match register {
            Some(registry) => {
                let registration = registration(instance, &settings.registry, &service);
                let registrar =
                    Registrar::try_new(registry, registration, RegistrarSettings::default());
                Some(registrar.map_err(Error::Registrar)?)
            }
            None => None,
        };
        if let Some(registrar) = &registrar {
            let handle = registrar.handle();
            service.depend(Dependency::new("registry", false, move || {
                let handle = handle.clone();
                async move { tell(&handle.standing()) }
            }));
        }
        let client = service.client.clone();
        // A service that calls nobody needs no word about others.
        if !client.clusters().is_empty() {
            service.depend(Dependency::new("discovery", false, move || {
                std::future::ready(tell_stale(&client.stale()))
            }));
        }
        let reload = Reload::new(&service, id.as_str());
        let handle = reload.handle();
        if let Some(feed) = reload.feed() {
            metrics::observe_center(&service.telemetry, handle.clone(), feed.clone());
            service.depend(Dependency::new("config_center", false, move || {
                std::future::ready(feed.away().map_or(Ok(()), Err))
            }));
        }
        if reload.watches() {
            let probed = handle.clone();
            service.depend(Dependency::new("configuration", false, move || {
                std::future::ready(probed.refused().map_or(Ok(()), Err))
            }));
            service.tasks.spawn("reload", |drain| reload.run(drain));
        }
        let admin = match settings.admin.listen {
            Some(address) => Some(Admin::bind(address, &service, handle.clone())?),
            None => None,
        };
        // Opened now, so that health knows of its keys.
        _ = service.grpc_guard()?;
        let health = Health::new(service.dependencies.lock().map_or_else(
            |poisoned| poisoned.into_inner().clone(),
            |dependencies| dependencies.clone(),
        ));
        if let Some(opened) = &service.config_center {
            let (every, telemetry) = (settings.config_center.report_every, &service.telemetry);
            let (health, telemetry) = (health.clone(), telemetry.clone());
            let reporter = Reporter::new(opened, id.as_str(), every, handle, health, telemetry);
            service.tasks.spawn("config report", |drain| reporter.run(drain));
        }
        metrics::observe_process(&service.telemetry);
        let (tasks, telemetry) = (service.tasks.clone(), service.telemetry.clone());
        let (mut limits, linger) = (settings.server.limits(), settings.server.linger);
        limits.tells_peers = service.rate.is_some();
        #[cfg(feature = "database")]
        let databases = service
            .databases
            .lock()
            .map_or_else(|poisoned| poisoned.into_inner().clone(), |databases| databases.clone());
        let app = app(service, &health)?;
        Ok(Self {
            listener,
            address,
            instance: id,
            app,
            limits,
            linger,
            drain_timeout: settings.server.drain_timeout,
            health,
            registrar,
            admin,
            tasks,
            #[cfg(feature = "database")]
            databases,
            telemetry,
        })
    }

    /// Where it listens, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its id in the registry.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Serves until `drain` is cancelled, then drains as [`Service::run`] says.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, it cuts off requests in flight.
    pub async fn run(self, drain: CancellationToken) {
        // Boxed: compiled here, and not once more in each program that polls it.
        self.serve(drain).boxed().await;
    }

    async fn serve(self, drain: CancellationToken) {
        let (phase, leaving) = (Phase::default(), CancellationToken::new());
        tracing::info!(address = %self.address, instance = %self.instance, "serving");
        if let Some(admin) = self.admin {
            tracing::info!(address = %admin.address(), "admin address");
            self.tasks.spawn("admin", |drain| admin.run(drain));
        }
        let serving = server::serve(self.listener, self.app, self.limits, phase.clone());
        // Ends after `leaving`, never before.
        let registered = async {
            match self.registrar {
                Some(registrar) => registrar.run(leaving.clone()).await,
                None => leaving.cancelled().await,
            }
        };
        let close = async {
            let mut registered = std::pin::pin!(registered);
            tokio::select! {
                () = drain.cancelled() => (),
                () = registered.as_mut() => (),
            }
            let budget = Budget::begin(Instant::now().into_std(), self.drain_timeout);
            let end_of = |stage| Instant::from_std(budget.end_of(stage));
            self.health.leave();
            leaving.cancel();
            let _given_up = timeout_at(end_of(Stage::Deregister), registered).await;
            phase.leave();
            let lingered = budget.linger(Instant::now().into_std(), self.linger);
            tokio::time::sleep_until(lingered.into()).await;
            phase.close(end_of(Stage::Requests));
            budget
        };
        let (cut_off, budget) = tokio::join!(serving, close);
        let end_of = |stage| Instant::from_std(budget.end_of(stage));
        if cut_off > 0 {
            let limit = self.drain_timeout;
            tracing::warn!(cut_off, ?limit, "connections were cut off: the drain took too long");
        }
        let left = self.tasks.finish(end_of(Stage::Tasks)).await;
        if left > 0 {
            tracing::warn!(left, "tasks did not end in time");
        }
        #[cfg(feature = "database")]
        {
            let close = futures::future::join_all(self.databases.iter().map(|it| it.close()));
            if timeout_at(end_of(Stage::Flush), close).await.is_err() {
                tracing::warn!("databases did not close in time");
            }
        }
        tracing::info!("stopped");
        if timeout_at(end_of(Stage::Flush), self.telemetry.shutdown()).await.is_err() {
            tracing::warn!("telemetry was not sent in time");
        }
    }
}

/// Takes the port, and tells the real one.
pub(crate) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |source| Error::Listen { address, source };
    let listener = server::bind(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// What callers find in the registry.
fn registration(
    instance: regatta_core::Instance,
    settings: &RegistrySettings,
    service: &Service,
) -> Registration {
    let mut tags = settings.tags.clone();
    tags.push("http".to_owned());
    if !service.grpc_services.is_empty() {
        tags.push("grpc".to_owned());
    }
    let check = Check {
        probe: Probe::Http { path: "/health/ready".to_owned() },
        interval: settings.check_interval,
        timeout: settings.check_timeout,
        deregister_after: Some(settings.deregister_after),
    };
    Registration::new(instance).with_check(check).with_tags(tags)
}

/// The registry is behind the instances of every service that is called; else since when not.
fn tell_stale(stale: &[(ServiceName, Duration)]) -> std::result::Result<(), String> {
    let Some(longest) = stale.iter().map(|(_, time)| time.as_secs()).max() else { return Ok(()) };
    let names: Vec<_> = stale.iter().map(|(name, _)| format!("`{name}`")).collect();
    let names = names.join(", ");
    Err(format!(
        "no word from the registry for {longest} s about {names}; the last known instances are called"
    ))
}

fn tell(standing: &Standing) -> std::result::Result<(), String> {
    match standing {
        Standing::Registered => Ok(()),
        Standing::Pending => Err("not registered yet".to_owned()),
        Standing::Failing { error } => Err(error.clone()),
        Standing::Gone => Err("deregistered".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_is_away_is_told_with_the_services_and_for_how_long() {
        assert_eq!(tell_stale(&[]), Ok(()));
        let stale = |name: &str, seconds| (name.parse().unwrap(), Duration::from_secs(seconds));
        let told = tell_stale(&[stale("order-service", 3), stale("user-service", 12)]).unwrap_err();
        assert!(told.contains("12 s about `order-service`, `user-service`"), "{told}");
    }
}
