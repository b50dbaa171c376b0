//! Keeps one service's set true by one blocking query after the other.

use std::sync::Arc;

use rand::Rng;
use regatta_core::{Chain, Instance, ServiceName};
use regatta_discovery::{LastKnown, Publisher};
use tokio::time::Instant;

use crate::Options;
use crate::http::{Answer, CallError, Http};
use crate::rhythm::Rhythm;
use crate::wire::Entry;

/// Polls one service for ever; whoever runs it drops it when nobody watches.
pub(crate) async fn poll(
    http: Http,
    options: Arc<Options>,
    service: ServiceName,
    publisher: Arc<Publisher>,
) {
    let mut known = LastKnown::new(options.grace);
    let mut rhythm = Rhythm::default();
    let mut is_away = false;
    loop {
        let start = Instant::now();
        let asked = ask(&http, &options, &service, &rhythm, &known).await;
        let now = Instant::now();
        let (set, pause) = match asked {
            Ok((index, instances)) => {
                if std::mem::take(&mut is_away) {
                    tracing::info!(%service, registry = http.address(), "the registry is back");
                }
                let heard = rhythm.answered(index, now - start);
                if heard.was_reset {
                    tracing::warn!(%service, "the registry began anew; asking for everything");
                    known.reset(now.into_std());
                }
                (known.answer(now.into_std(), instances), heard.pause)
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    let (error, registry) = (Chain(&error).to_string(), http.address());
                    tracing::warn!(%service, registry, error, "the registry is away; keeping what is known");
                }
                let random = rand::rng().random();
                let pause = rhythm.failed(options.first_backoff, options.max_backoff, random);
                (known.failure(now.into_std()), pause)
            }
        };
        set.into_iter().for_each(|set| publisher.publish(set));
        tokio::time::sleep(pause).await;
    }
}

async fn ask(
    http: &Http,
    options: &Options,
    service: &ServiceName,
    rhythm: &Rhythm,
    known: &LastKnown,
) -> Result<(Option<u64>, Vec<Instance>), CallError> {
    let mut query = vec![("passing", "1".to_owned())];
    let mut patience = std::time::Duration::ZERO;
    if let Some(index) = rhythm.index() {
        // A doubt must end in time: then even an unchanged answer is wanted.
        let doubt = known.recheck_after(Instant::now().into_std());
        let wait = doubt.map_or(options.wait, |doubt| doubt.min(options.wait));
        query.push(("index", index.to_string()));
        // At least 1 ms, since Consul takes a wait of 0 for its default of 5 min.
        query.push(("wait", format!("{}ms", wait.as_millis().max(1))));
        // Consul adds up to a sixteenth of jitter.
        patience = wait + wait / 16;
    }
    let path = ["v1", "health", "service", service.as_str()];
    let answer = http.get(&path, &query, patience).await?.success()?;
    let instances = instances(&answer, service)?;
    Ok((answer.index, instances))
}

fn instances(answer: &Answer, service: &ServiceName) -> Result<Vec<Instance>, CallError> {
    let entries: Vec<Entry> = serde_json::from_slice(&answer.body).map_err(CallError::Malformed)?;
    Ok(entries.into_iter().filter_map(|entry| entry.into_instance(service)).collect())
}
