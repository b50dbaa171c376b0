//! `regatta config watch`: changes of the config center as they happen.

use std::sync::Arc;

use clap::Args;
use regatta_config::center::{
    Change, Follower, Heard, Known, Layout, Place as Lies, Query, Rhythm, Which,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::access::{Access, known, shown};
use crate::failure::Failure;
use crate::output::{Format, err, out};
use crate::system::Place;

/// Prints changes of settings as they happen, until Ctrl-C; none is missed in an outage.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The service, or _shared. Default: all.
    service: Option<String>,
    /// Shows secrets too.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    access: Access,
}

impl Watch {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let center = self.access.open(place)?;
        let prefix = match &self.service {
            Some(service) => {
                known(service)?;
                center.layout.service(service)
            }
            None => center.layout.prefix().to_owned(),
        };
        // Read first: only what changes from now on is printed, and an absent center is told.
        let begin = center.port.list(&Query::prefix(&*prefix)).await?;
        let begin = Known::from_items(begin.items, begin.revision);
        let follower =
            Follower::new(Arc::clone(&center.port), Which::Prefix(prefix), Rhythm::default());
        let (drain, layout, reveal) = (CancellationToken::new(), center.layout, self.reveal);
        let mut is_away = false;
        let hear = |_: &Known, heard: Heard| match heard {
            Heard::Changes(changes) => {
                is_away = false;
                changes
                    .iter()
                    .filter_map(|it| line(&layout, it, reveal, format))
                    .for_each(|it| out(&it));
            }
            Heard::Away(reason) if !is_away => {
                is_away = true;
                err(&format!("waiting for the config center: {reason}"));
            }
            Heard::Away(_) => {}
        };
        let following = follower.from_known(begin).run(drain, hear);
        tokio::select! {
            () = following => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(())
    }
}

/// None for what is no setting.
fn line(layout: &Layout, change: &Change, reveal: bool, format: Format) -> Option<String> {
    let whole = change.key();
    let service = layout.service_of(whole)?;
    let (instance, key) = match layout.place(service, whole)? {
        Lies::Setting { key } => (None, key),
        Lies::OfInstance { instance, key } => (Some(instance), key),
        Lies::Rollout | Lies::Other => return None,
    };
    let value = change.value().map(|value| shown(key, value, reveal));
    let revision = change.revision();
    Some(match format {
        Format::Json => json!({ "service": service, "instance": instance, "key": key,
            "value": value, "revision": revision })
        .to_string(),
        Format::Text => {
            let whom = instance.unwrap_or(service);
            match value {
                Some(value) => format!("{revision} {whom} {key} = {value}"),
                None => format!("{revision} {whom} {key} is deleted"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use regatta_config::center::Item;

    use super::*;

    #[test]
    fn a_line_says_when_for_whom_and_what() {
        let layout = Layout::default();
        let line = |change: &Change| line(&layout, change, false, Format::Text);
        let put = |key: &str, value: &str| Change::Put(Item::new(key, value, 7));
        let set = put("/config/a/client.timeout", "2s");
        assert_eq!(line(&set).as_deref(), Some("7 a client.timeout = 2s"));
        let mine = put("/config/a/_instances/a-1/db.password", "x");
        assert_eq!(line(&mine).as_deref(), Some("7 a-1 db.password = ***"));
        let gone = Change::Delete { key: "/config/_shared/x".into(), revision: 8 };
        assert_eq!(line(&gone).as_deref(), Some("8 _shared x is deleted"));
        assert_eq!(line(&put("/config/_reports/a/a-1", "{}")), None);
        assert_eq!(line(&put("/config/a/_rollout", "{}")), None);
    }
}
