//! Keeps one service's set true by one look-up after the other.

use std::sync::Arc;

use hickory_resolver::TokioResolver;
use rand::Rng;
use regatta_core::{Chain, ServiceName};
use regatta_discovery::{LastKnown, Publisher};

use crate::Options;
use crate::lookup::find;
use crate::pattern::Pattern;
use crate::rhythm::Rhythm;

/// Looks one service up for ever; whoever runs it drops it when nobody watches.
pub(crate) async fn poll(
    resolver: TokioResolver,
    pattern: Arc<Pattern>,
    options: Arc<Options>,
    service: ServiceName,
    publisher: Arc<Publisher>,
) {
    let mut known = LastKnown::new(options.grace).naming_all_at_once();
    let mut rhythm = Rhythm::default();
    let mut is_away = false;
    loop {
        let found = find(&resolver, &pattern, &service).await;
        let now = tokio::time::Instant::now().into_std();
        let (set, mut pause) = match found {
            Ok(found) => {
                if std::mem::take(&mut is_away) {
                    tracing::info!(%service, "the name servers answer again");
                }
                (known.answer(now, found.instances), rhythm.answered(&options, found.holds_for))
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    let (error, name) = (Chain(&error).to_string(), pattern.name(&service));
                    tracing::warn!(%service, name, error, "no name server answers; keeping what is known");
                }
                (known.failure(now), rhythm.failed(&options, rand::rng().random()))
            }
        };
        set.into_iter().for_each(|set| publisher.publish(set));
        if let Some(doubt) = known.recheck_after(now) {
            // A doubt must end in time.
            pause = pause.min(doubt.max(options.least_refresh));
        }
        tokio::time::sleep(pause).await;
    }
}
