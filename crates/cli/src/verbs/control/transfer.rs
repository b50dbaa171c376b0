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
        let pairs = pairs(to, from, Given::Sources, |kind| own(place, kind, "--from", tls))?;
        let pairs = pairs.into_iter().map(|(to, from)| (from, to)).collect();
        options.run(pairs, format).await
    }
}

impl Import {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let Self { from, to, mut options } = self;
        let tls = &mut options.tls;
        let pairs = pairs(from, to, Given::Targets, |kind| own(place, kind, "--to", tls))?;
        options.run(pairs, format).await
    }
}

/// What the endpoints are that may be given beside those that must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Sources,
    Targets,
}

impl Given {
    fn flag(self) -> &'static str {
        match self {
            Self::Sources => "--from",
            Self::Targets => "--to",
        }
    }

    /// Why one of the first has no counterpart among the others.
    fn no_way(self, side: Kind, other: Kind) -> String {
        let (from, to) = match self {
            Self::Sources => (other, side),
            Self::Targets => (side, other),
        };
        format!("nothing goes from {} to {}", scheme(from), scheme(to))
    }
}

/// Each endpoint with the one of its kind that was given, or with this system's own where none was
/// given at all: what was named, and nothing else, is read and written.
fn pairs(
    sides: Vec<Endpoint>,
    given: Vec<Endpoint>,
    means: Given,
    mut own: impl FnMut(Kind) -> Result<Endpoint, Failure>,
) -> Result<Vec<(Endpoint, Endpoint)>, Failure> {
    let flag = means.flag();
    for (index, endpoint) in given.iter().enumerate() {
        let kind = endpoint.kind();
        if given[..index].iter().any(|earlier| earlier.kind() == kind) {
            return Err(Failure::usage(format!(
                "`{flag} {endpoint}` is a second one of {}; name one of each kind, and run it once \
                 for each",
                scheme(kind)
            )));
        }
        if let [side, ..] = &*sides
            && !sides.iter().any(|side| side.kind() == kind)
        {
            return Err(Failure::usage(format!(
                "{}; `{flag} {endpoint}` would be used for nothing: remove it, or name an endpoint of \
                 {}",
                means.no_way(side.kind(), kind),
                scheme(side.kind())
            )));
        }
    }
    let pair = |side: Endpoint| {
        let kind = side.kind();
        let other = match (given.iter().find(|endpoint| endpoint.kind() == kind), given.first()) {
            (Some(found), _) => found.clone(),
            (None, None) => own(kind)?,
            (None, Some(other)) => {
                return Err(Failure::usage(format!(
                    "{}; name the other side of `{side}` with `{flag} {}://HOST:PORT`",
                    means.no_way(kind, other.kind()),
                    scheme(kind)
                )));
            }
        };
        Ok((side, other))
    };
    sides.into_iter().map(pair).collect()
}

/// This system's own control plane, which is trusted by what its manifest says unless something
/// else was given.
fn own(place: &Place, kind: Kind, flag: &str, tls: &mut Tls) -> Result<Endpoint, Failure> {
    let own = ControlPlane::of(place)?;
    tls.ca = tls.ca.take().or(own.ca);
    let scheme = scheme(kind);
    let url = match kind {
        Kind::Etcd => own.etcd,
        Kind::Consul => Some(own.consul),
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

fn scheme(kind: Kind) -> &'static str {
    match kind {
        Kind::Etcd => "etcd",
        Kind::Consul => "consul",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(urls: &[&str]) -> Vec<Endpoint> {
        urls.iter().map(|url| url.parse().unwrap()).collect()
    }

    /// The pairs as text; `own` stands for this system's control plane.
    fn paired(sides: &[&str], given: &[&str], means: Given) -> Result<Vec<String>, String> {
        let own = |kind| Ok(format!("{}://own", scheme(kind)).parse().unwrap());
        let pairs = pairs(endpoints(sides), endpoints(given), means, own);
        let text = |(side, other): (Endpoint, Endpoint)| format!("{side} {other}");
        pairs.map(|pairs| pairs.into_iter().map(text).collect()).map_err(|it| it.to_string())
    }

    #[test]
    fn the_other_side_is_the_one_of_its_kind_or_this_system_where_none_was_named() {
        let own = paired(&["etcd://a", "consul://b"], &[], Given::Targets).unwrap();
        assert_eq!(own, ["etcd://a:2379 etcd://own:2379", "consul://b:8500 consul://own:8500"]);
        let given = ["consul://d", "etcd://c"];
        let named = paired(&["etcd://a", "etcd://b"], &given[1..], Given::Sources).unwrap();
        assert_eq!(named, ["etcd://a:2379 etcd://c:2379", "etcd://b:2379 etcd://c:2379"]);
        let both = paired(&["etcd://a", "consul://b"], &given, Given::Targets).unwrap();
        assert_eq!(both, ["etcd://a:2379 etcd://c:2379", "consul://b:8500 consul://d:8500"]);
    }

    #[test]
    fn an_endpoint_that_was_named_is_used_or_refused() {
        let refused =
            |sides: &[&str], given: &[&str], means| paired(sides, given, means).unwrap_err();
        let import = refused(&["consul://a"], &["etcd://b"], Given::Targets);
        assert!(import.starts_with("nothing goes from consul to etcd; `--to etcd://b"), "{import}");
        let export = refused(&["consul://a"], &["etcd://b"], Given::Sources);
        assert!(export.starts_with("nothing goes from etcd to consul; `--from"), "{export}");
        let half = refused(&["consul://a", "etcd://b"], &["consul://c"], Given::Targets);
        assert!(half.contains("from etcd to consul") && half.contains("`--to etcd://"), "{half}");
        let second = refused(&["etcd://a"], &["etcd://b", "etcd://c"], Given::Sources);
        assert!(second.contains("`--from etcd://c:2379` is a second one"), "{second}");
    }
}
