//! `regatta projections`: the views of a service, how far they are, and building them anew.

use clap::{Args, Subcommand};
use regatta_eventstore::{Build, ProjectionStore as _, Stage};
use serde_json::{Value, json};

use super::store::StorePlace;
use crate::failure::Failure;
use crate::output::{Format, out, table};
use crate::system::Place;

/// Projections: views folded from events.
#[derive(Debug, Subcommand)]
pub(crate) enum Projections {
    List(List),
    Rebuild(Rebuild),
}

/// Lists each build of each projection, with how many positions it lies behind the store.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    store: StorePlace,
}

/// Asks for a projection to be built anew, beside the old one; the service does it, and switches when
/// the new one is level.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The projection, such as order_list.
    #[arg(value_name = "PROJECTION")]
    projection: String,
    /// The revision of the code that is to build it. Default: that of the view as it is. After a
    /// release was rolled back: the one that the running release has, which its log and health say.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    revision: Option<u32>,
    #[command(flatten)]
    store: StorePlace,
}

impl Projections {
    pub(crate) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        match self {
            Self::List(verb) => verb.run(place, format).await,
            Self::Rebuild(verb) => verb.run(place, format).await,
        }
    }
}

impl List {
    async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let store = self.store.open(place).await?;
        let mut found = Vec::new();
        for name in store.projections().await? {
            found.extend(store.builds(&name).await?.into_iter().map(|build| (name.clone(), build)));
        }
        // Read after the builds, so that none is ahead of it.
        let head = store.head().await?.get();
        let lag = |build: &Build| head.saturating_sub(build.position.get());
        match format {
            Format::Json => {
                let all: Vec<_> = found
                    .iter()
                    .map(|(name, build)| {
                        json!({ "projection": name, "generation": build.generation,
                            "revision": build.revision, "stage": stage(build.stage),
                            "position": build.position.get(), "lag": lag(build) })
                    })
                    .collect();
                out(&Value::from(all).to_string());
            }
            Format::Text => {
                let rows: Vec<_> = found
                    .iter()
                    .map(|(name, build)| {
                        vec![
                            name.clone(),
                            build.generation.to_string(),
                            build.revision.to_string(),
                            stage(build.stage).to_owned(),
                            build.position.to_string(),
                            lag(build).to_string(),
                        ]
                    })
                    .collect();
                let head = ["PROJECTION", "GENERATION", "REVISION", "STAGE", "POSITION", "LAG"];
                table(&head, &rows, |_, _, text| text.to_owned()).iter().for_each(|line| out(line));
            }
        }
        Ok(())
    }
}

impl Rebuild {
    async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let store = self.store.open(place).await?;
        let name = &self.projection;
        let Some(generation) = store.request_rebuild(name, self.revision).await? else {
            let known = store.projections().await?.join(", ");
            return Err(Failure::new(format!(
                "there is no projection `{name}` whose first build is done; there are: {known}"
            )));
        };
        let builds = store.builds(name).await?;
        let active = builds.iter().find(|build| build.stage == Stage::Active);
        let active = active.map(|build| build.revision);
        let revision = self.revision.or(active);
        match format {
            Format::Json => {
                let line = json!({ "projection": name, "generation": generation,
                    "revision": revision, "active_revision": active });
                out(&line.to_string());
            }
            Format::Text => out(&format!(
                "generation {generation} of {name} is asked for; {}, and `regatta projections list` \
                 shows how far it is",
                builder(revision, active)
            )),
        }
        Ok(())
    }
}

/// Who builds this revision, where the view in use has that one.
fn builder(revision: Option<u32>, active: Option<u32>) -> String {
    match revision {
        Some(revision) if Some(revision) != active => {
            format!("only a release with revision {revision} will build it")
        }
        _ => "the service builds it".to_owned(),
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Requested => "requested",
        Stage::Building => "building",
        Stage::Active => "active",
        Stage::Retired => "retired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_that_the_view_does_not_have_waits_for_its_release() {
        for (revision, active) in [(None, None), (Some(2), Some(2))] {
            assert_eq!(builder(revision, active), "the service builds it");
        }
        for active in [None, Some(2)] {
            let text = builder(Some(99), active);
            assert_eq!(text, "only a release with revision 99 will build it");
        }
    }
}
