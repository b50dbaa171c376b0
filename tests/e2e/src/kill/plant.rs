//! The processes of the saga, each of which may be killed.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regatta_testkit::{Process, free_port};
use serde_json::json;
use tempfile::TempDir;

use super::engines::{Engines, Running};
use super::ledger::Ledger;
use crate::{Caller, Program, unix_now};

const SECRET: &str = "a secret of the kill matrix, 32 bytes or more";
/// How long a service may take until it is ready: a start takes a tenth of a second, a busy machine
/// more.
const READY: Duration = Duration::from_secs(60);
/// How long an order waits for its payment: short, so that outages reach the compensation too.
pub(super) const PAYMENT_WITHIN: Duration = Duration::from_secs(6);

/// What may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Orders,
    Payments,
    /// Services' databases and bus, where they are one server.
    Database,
    /// The bus, where it is a server of its own.
    Broker,
}

impl Victim {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Orders => "order-service",
            Self::Payments => "payment-service",
            Self::Database => "database",
            Self::Broker => "broker",
        }
    }
}

/// The running saga.
#[derive(Debug)]
pub(super) struct Plant {
    folder: TempDir,
    engines: Running,
    ports: [u16; 3],
    users: Option<Process>,
    orders: Option<Process>,
    payments: Option<Process>,
}

impl Plant {
    pub(super) async fn start(engines: Engines) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let engines = engines.start(folder.path()).await?;
        let ports = [free_port(), free_port(), free_port()];
        let mut plant = Self { folder, engines, ports, users: None, orders: None, payments: None };
        plant.users = Some(plant.spawn("user-service", 0, &plant.engines.users)?);
        plant.orders = Some(plant.spawn_victim(Victim::Orders)?);
        plant.payments = Some(plant.spawn_victim(Victim::Payments)?);
        for port in plant.ports {
            ready(port).await?;
        }
        let ada = json!({ "name": "Ada", "email": "ada@example.com" });
        let users = Caller::new(&format!("http://127.0.0.1:{}", plant.ports[0]))?;
        let created = users.post("/users", &ada).await?;
        if created.json()["user_id"] != 1 {
            bail!("the first user is not number 1: {}", created.text);
        }
        Ok(plant)
    }

    /// Who may be killed with these engines.
    pub(super) fn victims(&self) -> Vec<Victim> {
        let mut victims = vec![Victim::Orders, Victim::Payments];
        victims.extend(self.engines.postgres.is_some().then_some(Victim::Database));
        victims.extend(self.engines.nats.is_some().then_some(Victim::Broker));
        victims
    }

    /// Kills it as a crash would, and leaves it so for a while.
    pub(super) async fn kill(&mut self, victim: Victim, down: Duration) -> Result<()> {
        match victim {
            Victim::Orders => self.orders.take().context("it runs")?.kill(),
            Victim::Payments => self.payments.take().context("it runs")?.kill(),
            Victim::Database => self.engines.postgres.as_mut().context("is a server")?.kill(),
            Victim::Broker => self.engines.nats.as_mut().context("is a server")?.stop(),
        }
        tokio::time::sleep(down).await;
        match victim {
            Victim::Orders => self.orders = Some(self.spawn_victim(victim)?),
            Victim::Payments => self.payments = Some(self.spawn_victim(victim)?),
            Victim::Database => {
                let server = self.engines.postgres.as_mut().context("is a server")?;
                server.resume().await?;
            }
            Victim::Broker => self.engines.nats.as_mut().context("is a server")?.resume().await?,
        }
        for port in self.ports {
            ready(port).await?;
        }
        Ok(())
    }

    /// A caller of the order-service, as user 1.
    pub(super) fn buyer(&self) -> Result<Caller> {
        let url = format!("http://127.0.0.1:{}", self.ports[1]);
        Ok(Caller::new(&url)?.with_token(&token()))
    }

    pub(super) fn order_ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.engines.orders)
    }

    pub(super) fn payment_ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.engines.payments)
    }

    /// The bus, where it is a log in a database.
    pub(super) fn bus_ledger(&self) -> Result<Option<Ledger>> {
        let is_log = self.engines.nats.is_none();
        is_log.then(|| Ledger::open(&self.engines.events)).transpose()
    }

    /// Where the orders are, for the verbs of `regatta`.
    pub(super) fn order_url(&self) -> &str {
        &self.engines.orders
    }

    /// Where the bus is, for the verbs of `regatta`.
    pub(super) fn bus_url(&self) -> &str {
        &self.engines.events
    }

    /// What this verb of `regatta` prints; its failure is an error with what it said.
    pub(super) fn regatta(&self, verb: &[&str]) -> Result<String> {
        let mut command = Command::new(Program::Regatta.path()?);
        let output = command.current_dir(self.folder.path()).args(verb).output();
        let output = output.context("cannot run `regatta`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`regatta {}`: {said}", verb[..2].join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The end of what the services have printed.
    pub(super) fn output(&self) -> String {
        let of = |process: &Option<Process>| {
            let output = process.as_ref().map(Process::output).unwrap_or_default();
            let lines: Vec<_> = output.lines().rev().take(20).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        format!("order-service:\n{}\npayment-service:\n{}", of(&self.orders), of(&self.payments))
    }

    fn spawn_victim(&self, victim: Victim) -> Result<Process> {
        match victim {
            Victim::Orders => self.spawn("order-service", 1, &self.engines.orders),
            _ => self.spawn("payment-service", 2, &self.engines.payments),
        }
    }

    fn spawn(&self, name: &'static str, port: usize, database: &str) -> Result<Process> {
        let mut command = Command::new(Program::Service(name).path()?);
        command.env_clear().current_dir(self.folder.path());
        let users = format!("static:user-service=127.0.0.1:{}", self.ports[0]);
        let within = format!("{}ms", PAYMENT_WITHIN.as_millis());
        for (variable, value) in [
            ("HOST", "127.0.0.1"),
            ("PORT", &*self.ports[port].to_string()),
            ("DATABASE_URL", database),
            ("EVENTS_URL", &self.engines.events),
            ("CONSUL_HTTP_ADDR", &users),
            ("AUTH__SECRET", SECRET),
            ("SAGA__PAYMENT_WITHIN", &within),
        ] {
            command.env(variable, value);
        }
        if name != "order-service" {
            command.env_remove("SAGA__PAYMENT_WITHIN");
        }
        Ok(Process::spawn(command)?)
    }
}

/// Waits until the service on this port is ready.
async fn ready(port: u16) -> Result<()> {
    let caller = Caller::new(&format!("http://127.0.0.1:{port}"))?;
    let waiting = async {
        while !caller.get("/health/ready").await.is_ok_and(|answer| answer.status == 200) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(READY, waiting).await;
    waited.with_context(|| format!("the service on port {port} is not ready within {READY:?}"))
}

/// A token of user 1.
fn token() -> String {
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let (head, now) = (json!({ "alg": "HS256", "typ": "JWT" }), unix_now());
    let claims = json!({ "user_id": "1", "roles": ["user"], "iat": now, "exp": now + 86_400 });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}
