//! `regatta control export` and `import`: keys and services to and from a real etcd or Consul.

use clap::Args;
use regatta_control_plane::Secret;
use regatta_control_plane::transfer::{Endpoint, Kind, Report, Tally, Transfer};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;
use crate::verbs::tls::Tls;

/// Copies everything to other servers: keys, and services that do not register themselves.
///
/// What is there stays; a key with another value is overwritten, a service too. Doing it twice is the same as
/// doing it once.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where it shall be: etcd://HOST:PORT or consul://HOST:PORT; may be given for each. With TLS:
    /// etcds and consuls.
    #[arg(long, required = true, value_name = "URL")]
    to: Vec<Endpoint>,
    /// Where it is. Default: this system's control plane.
    #[arg(long, value_name = "URL")]
    from: Vec<Endpoint>,
    #[command(flatten)]
    options: Options,
}

/// Copies everything from other servers; the other way round, see export.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Where it is: etcd://HOST:PORT or consul://HOST:PORT; may be given for each. With TLS:
    /// etcds and consuls.
    #[arg(long, required = true, value_name = "URL")]
    from: Vec<Endpoint>,
    /// Where it shall be. Default: this system's control plane.
    #[arg(long, value_name = "URL")]
    to: Vec<Endpoint>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// Only keys that begin with this.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// A key or a service that is there in another form keeps it.
    #[arg(long)]
    keep: bool,
    /// Counts, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    tls: Tls,
    /// The password or token of the source, where its URL has none.
    #[arg(long, env = "REGATTA_FROM_SECRET", hide_env_values = true, value_name = "SECRET")]
    from_secret: Option<String>,
    /// The password or token of the target, where its URL has none.
    #[arg(long, env = "REGATTA_TO_SECRET", hide_env_values = true, value_name = "SECRET")]
    to_secret: Option<String>,
}

impl Export {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let Self { to, from, mut options } = self;
        let tls = &mut options.tls;
        let pair = |to: Endpoint| Ok((counterpart(place, &from, to.kind(), "--from", tls)?, to));
        let pairs = to.into_iter().map(pair).collect::<Result<_, Failure>>()?;
        options.run(pairs, format).await
    }
}

impl Import {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let Self { from, to, mut options } = self;
        let tls = &mut options.tls;
        let pair = |from: Endpoint| {
            let to = counterpart(place, &to, from.kind(), "--to", tls)?;
            Ok((from, to))
        };
        let pairs = from.into_iter().map(pair).collect::<Result<_, Failure>>()?;
        options.run(pairs, format).await
    }
}

/// The other side: one that is given, or this system's own, which is trusted by what its manifest
/// says unless something else was given.
fn counterpart(
    place: &Place,
    given: &[Endpoint],
    kind: Kind,
    flag: &str,
    tls: &mut Tls,
) -> Result<Endpoint, Failure> {
    if let Some(given) = given.iter().find(|endpoint| endpoint.kind() == kind) {
        return Ok(given.clone());
    }
    let own = ControlPlane::of(place)?;
    tls.ca = tls.ca.take().or(own.ca);
    let (scheme, url) = match kind {
        Kind::Etcd => ("etcd", own.etcd),
        Kind::Consul => ("consul", Some(own.consul)),
    };
    let missing = || {
        Failure::usage(format!(
            "this system's control plane offers no {scheme}; say where the other side is with \
             `{flag} {scheme}://HOST:PORT`"
        ))
    };
    let url = url.ok_or_else(missing)?;
    // `http` and `https` become `etcd` and `etcds`, `consul` and `consuls`.
    Ok(url.replacen("http", scheme, 1).parse()?)
}

impl Options {
    async fn run(self, pairs: Vec<(Endpoint, Endpoint)>, format: Format) -> Result<(), Failure> {
        for (from, to) in pairs {
            let from = with_secret(from, self.from_secret.as_deref());
            let to = with_secret(to, self.to_secret.as_deref());
            let mut transfer = Transfer::new(from, to);
            transfer.prefix = self.prefix.clone();
            transfer.keep = self.keep;
            transfer.dry_run = self.dry_run;
            transfer.tls = self.tls.clone().into();
            let report = transfer.run().await?;
            show(&transfer, &report, format);
        }
        Ok(())
    }
}

fn with_secret(endpoint: Endpoint, secret: Option<&str>) -> Endpoint {
    match secret {
        Some(secret) if !endpoint.has_secret() => endpoint.with_secret(Secret::new(secret)),
        _ => endpoint,
    }
}

fn show(transfer: &Transfer, report: &Report, format: Format) {
    let Transfer { from, to, dry_run, .. } = transfer;
    let Report { keys, leased, nodes, services, own_services, untold_services, .. } = report;
    if format == Format::Json {
        let tally = |of: &Tally| {
            json!({ "found": of.found, "written": of.written, "unchanged": of.unchanged,
                "kept": of.kept })
        };
        let line = json!({
            "from": from.to_string(),
            "to": to.to_string(),
            "dry_run": dry_run,
            "keys": tally(keys),
            "leased": leased,
            "nodes": tally(nodes),
            "services": tally(services),
            "own_services": own_services,
            "untold_services": untold_services,
        });
        return out(&line.to_string());
    }
    let verb = if *dry_run { "would be written" } else { "written" };
    let tally = |of: &Tally, name: &str| {
        out(&format!("{:>8} {name}", of.found));
        for (count, what) in [
            (of.written, verb),
            (of.unchanged, "there already"),
            (of.kept, "kept what they have there"),
        ] {
            out(&format!("{count:>12} {what}"));
        }
    };
    out(&format!("{from} to {to}:"));
    tally(keys, "keys");
    out(&format!("{leased:>12} left out: they end with a lease or session of a client"));
    if from.kind() == Kind::Consul {
        tally(nodes, "nodes without an agent");
        tally(services, "services");
        out(&format!("{own_services:>8} services left out: they register themselves"));
        out(&format!(
            "{untold_services:>8} services left out: {from} does not tell what their checks ask"
        ));
    }
}
