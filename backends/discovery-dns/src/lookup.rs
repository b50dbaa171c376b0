//! Look-ups of one service, each bounded in time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use regatta_core::{Instance, ServiceName};

use crate::Options;
use crate::pattern::Pattern;
use crate::records::{Service, at_port, at_targets};

/// What an answer says, and for how long.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) instances: Vec<Instance>,
    pub(crate) holds_for: Duration,
}

/// Records of one name, none included.
struct Records {
    answers: Vec<Record>,
    others: Vec<Record>,
    holds_for: Duration,
}

/// How long an empty answer holds that does not say.
const EMPTY_HOLDS_FOR: Duration = Duration::from_secs(5);

/// A resolver without a cache of its own: the poll is one, and would keep records past their time.
pub(crate) fn resolver(pattern: &Pattern, options: &Options) -> Result<TokioResolver, NetError> {
    let mut builder = match pattern.server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut by| {
                by.port = server.port();
                by
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_parts(None, vec![], vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let of_builder: &mut ResolverOpts = builder.options_mut();
    of_builder.cache_size = 0;
    of_builder.timeout = options.timeout;
    of_builder.attempts = 2;
    builder.build()
}

/// Looks up a service's instances.
pub(crate) async fn find(
    resolver: &TokioResolver,
    pattern: &Pattern,
    service: &ServiceName,
) -> Result<Found, NetError> {
    let name = pattern.name(service);
    if let Some(port) = pattern.port {
        let (addresses, holds_for) = addresses(resolver, &name).await?;
        return Ok(Found { instances: at_port(service, &addresses, port), holds_for });
    }
    let Records { answers, others, mut holds_for } = ask(resolver, &name, RecordType::SRV).await?;
    let mut known: HashMap<String, Vec<IpAddr>> = HashMap::new();
    // What came along saves questions; Consul and Kubernetes send it.
    for record in &others {
        if let Some(ip) = address(record) {
            known.entry(record.name.to_string()).or_default().push(ip);
            holds_for = holds_for.min(Duration::from_secs(record.ttl.into()));
        }
    }
    let mut services = Vec::new();
    for record in &answers {
        let RData::SRV(srv) = &record.data else { continue };
        let target = srv.target.to_string();
        // RFC 2782: the root as a target says that the service is not offered.
        if target == "." {
            continue;
        }
        if !known.contains_key(&target) {
            let (addresses, age) = addresses(resolver, &target).await?;
            holds_for = holds_for.min(age);
            known.insert(target.clone(), addresses);
        }
        let addresses = known.get(&target).cloned().unwrap_or_default();
        let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
        services.push(Service { priority, weight, port, addresses });
    }
    Ok(Found { instances: at_targets(service, &services), holds_for })
}

/// The addresses of a name of both families; if one cannot be asked for, those of the other.
async fn addresses(
    resolver: &TokioResolver,
    name: &str,
) -> Result<(Vec<IpAddr>, Duration), NetError> {
    let both =
        tokio::join!(ask(resolver, name, RecordType::A), ask(resolver, name, RecordType::AAAA));
    let found = match both {
        (Ok(four), Ok(six)) => [Some(four), Some(six)],
        (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.answers.is_empty() => [Some(one), None],
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    // An empty family says nothing about how long the other holds.
    let found = found.into_iter().flatten();
    let (full, empty): (Vec<_>, Vec<_>) = found.partition(|records| !records.answers.is_empty());
    let counted = if full.is_empty() { &empty } else { &full };
    let holds_for = counted.iter().map(|records| records.holds_for).min();
    let ips = full.iter().flat_map(|records| &records.answers).filter_map(address).collect();
    Ok((ips, holds_for.unwrap_or(EMPTY_HOLDS_FOR)))
}

async fn ask(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Records, NetError> {
    let lookup = match resolver.lookup(name, kind).await {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if [ResponseCode::NoError, ResponseCode::NXDomain].contains(&none.response_code) =>
        {
            let holds_for = none.negative_ttl.map(|seconds| Duration::from_secs(seconds.into()));
            let holds_for = holds_for.unwrap_or(EMPTY_HOLDS_FOR);
            return Ok(Records { answers: vec![], others: vec![], holds_for });
        }
        Err(error) => return Err(error),
    };
    let answers = lookup.answers().to_vec();
    let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    let holds_for = Duration::from_secs(ttl.into());
    Ok(Records { answers, others: lookup.additionals().to_vec(), holds_for })
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(ip) => Some(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
        _ => None,
    }
}
