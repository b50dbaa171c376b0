//! Whether instances take a revision over, and what to do where they refuse it.

use std::time::Duration;

use regatta_config::center::{Layout, Report};

use super::access::Center;
use crate::failure::Failure;
use crate::output::err;

/// Time between two looks at the reports.
const LOOK: Duration = Duration::from_millis(50);

/// A change that was written, and whom it is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    /// The service, or `_shared`.
    pub(super) service: &'a str,
    /// The instance; all of the service when none.
    pub(super) instance: Option<&'a str>,
    pub(super) revision: u64,
}

/// What instances say of a revision.
#[derive(Debug, PartialEq)]
enum Heard {
    /// None that it is for says anything.
    Nobody,
    /// These have not said yet whether they take it over.
    Waiting(Vec<String>),
    /// All have; these refuse it.
    All(Vec<Report>),
}

impl Written<'_> {
    /// Waits until it is taken over; a refusal is a failure, and so is a change that is for nobody.
    /// Where nobody waits, the latter is only noted.
    pub(super) async fn told(
        &self,
        center: &Center,
        within: Option<Duration>,
    ) -> Result<(), Failure> {
        let Some(within) = within else {
            // It is written: that instances cannot be looked for is no failure of it.
            let reports = center.reports(Some(self.service)).await;
            if reports.is_ok_and(|reports| self.heard(reports) == Heard::Nobody) {
                err(&format!("note: {}", self.nobody()));
            }
            return Ok(());
        };
        let deadline = tokio::time::Instant::now() + within;
        let waiting = loop {
            match self.heard(center.reports(Some(self.service)).await?) {
                Heard::All(refused) if refused.is_empty() => return Ok(()),
                Heard::All(refused) => return Err(self.refused(&center.layout, &refused)),
                _ if tokio::time::Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                Heard::Nobody => return Err(Failure::new(self.nobody())),
                Heard::Waiting(names) => break names,
            }
        };
        let Self { service, revision, .. } = self;
        Err(Failure::new(format!(
            "revision {revision} is written, and after {within:?} not taken over by {}; see `regatta \
             config instances {service}`",
            waiting.join(", ")
        )))
    }

    /// A name may be mistyped, or nothing of it runs.
    fn nobody(&self) -> String {
        let Self { service, instance, revision } = self;
        let whom = match instance {
            Some(instance) => format!("no instance `{instance}` of `{service}` reports"),
            None if *service == Layout::SHARED => "no instance reports".to_owned(),
            None => format!("no instance of `{service}` reports"),
        };
        format!(
            "revision {revision} is written, but {whom} to the config center; see who does with \
             `regatta config instances`"
        )
    }

    fn heard(&self, mut reports: Vec<Report>) -> Heard {
        reports.retain(|report| self.instance.is_none_or(|instance| instance == report.instance));
        if reports.is_empty() {
            return Heard::Nobody;
        }
        let refuses = |report: &Report| {
            report.refused.as_ref().is_some_and(|refused| refused.revision >= self.revision)
        };
        let is_waiting = |report: &&Report| report.revision < self.revision && !refuses(report);
        let waiting: Vec<_> =
            reports.iter().filter(is_waiting).map(|report| report.instance.clone()).collect();
        match waiting.is_empty() {
            true => Heard::All(reports.into_iter().filter(|report| refuses(report)).collect()),
            false => Heard::Waiting(waiting),
        }
    }

    fn refused(&self, layout: &Layout, refused: &[Report]) -> Failure {
        let reason = |report: &Report| {
            let refused = report.refused.clone().unwrap_or_default();
            format!("{}: {}", report.instance, refused.reason)
        };
        let (revision, remedy) = (self.revision, self.remedy(layout, refused));
        let text = format!("revision {revision} is refused, and the old settings stay; {remedy}");
        Failure::new(text).with_detail(refused.iter().map(reason).collect())
    }

    /// What ends the refusal: it may be of a release, or of a revision before this one.
    fn remedy(&self, layout: &Layout, refused: &[Report]) -> String {
        let is_of_release = |report: &&Report| {
            let rollout = layout.rollout(&report.service);
            report.refused.as_ref().is_some_and(|refused| refused.reason.contains(&rollout))
        };
        if let Some(report) = refused.iter().find(is_of_release) {
            let id = report.rollout.as_deref().unwrap_or("ID");
            return format!(
                "the changes of a release are refused; take it back with `regatta config release \
                 rollback {id}`"
            );
        }
        match refused.iter().map(|report| report.revision).min() {
            Some(accepted) if accepted > 0 => format!(
                "correct it, or go back to what was accepted last with `regatta config rollback {} \
                 --to {accepted}`",
                self.service
            ),
            _ => "correct it, or delete the keys above with `regatta config delete`".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use regatta_config::center::RefusedRevision;

    use super::*;

    const WRITTEN: Written<'_> = Written { service: "pay", instance: None, revision: 15 };

    fn report(instance: &str, revision: u64, refused: Option<(u64, &str)>) -> Report {
        let refused = refused
            .map(|(revision, reason)| RefusedRevision { revision, reason: reason.to_owned() });
        let (service, instance) = ("pay".to_owned(), instance.to_owned());
        Report { service, instance, revision, refused, ..Report::default() }
    }

    #[test]
    fn is_taken_over_when_every_instance_runs_it_or_refuses_it() {
        let there = report("pay-1", 16, None);
        let late = report("pay-2", 14, Some((14, "of before")));
        let waiting = WRITTEN.heard(vec![there.clone(), late]);
        assert_eq!(waiting, Heard::Waiting(vec!["pay-2".to_owned()]));
        let refusing = report("pay-2", 14, Some((15, "no")));
        let heard = WRITTEN.heard(vec![there, refusing.clone()]);
        assert_eq!(heard, Heard::All(vec![refusing]));
    }

    /// A name that was mistyped was reported as a success.
    #[test]
    fn what_nobody_hears_is_not_taken_over() {
        assert_eq!(WRITTEN.heard(Vec::new()), Heard::Nobody);
        let of_one = Written { instance: Some("pay-2"), ..WRITTEN };
        assert_eq!(of_one.heard(vec![report("pay-1", 16, None)]), Heard::Nobody);
        assert_eq!(of_one.heard(vec![report("pay-2", 16, None)]), Heard::All(Vec::new()));
        let others = vec![report("pay-1", 1, None), report("pay-2", 16, None)];
        assert_eq!(of_one.heard(others), Heard::All(Vec::new()), "it is not for the other one");
    }

    /// The revision right before may be the very one that is wrong.
    #[test]
    fn the_way_back_is_to_what_all_have_accepted() {
        let refused =
            [report("pay-1", 13, Some((15, "no"))), report("pay-2", 12, Some((15, "no")))];
        let said = WRITTEN.refused(&Layout::default(), &refused).to_string();
        assert!(said.contains("pay-1: no\npay-2: no\n"), "{said}");
        assert!(said.contains("`regatta config rollback pay --to 12`"), "{said}");
        let nothing = [report("pay-1", 0, Some((15, "no")))];
        let said = WRITTEN.remedy(&Layout::default(), &nothing);
        assert!(!said.contains("rollback") && said.contains("regatta config delete"), "{said}");
    }

    /// A rollback of settings changes nothing of a release.
    #[test]
    fn a_release_that_is_refused_is_taken_back_as_one() {
        let why =
            "config center /config/pay/_rollout, revision 11: client.tries: 999 is not allowed";
        let refused = Report {
            rollout: Some("pay-20261129-130501".to_owned()),
            ..report("pay-1", 10, Some((15, why)))
        };
        let said = WRITTEN.remedy(&Layout::default(), &[refused]);
        assert!(said.contains("`regatta config release rollback pay-20261129-130501`"), "{said}");
        assert!(!said.contains("--to"), "{said}");
    }
}
