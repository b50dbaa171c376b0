//! What is next of a release, as its driver sees it.

use super::*;
use crate::center::RefusedRevision;
use crate::release::{Stage, Thresholds};

const SECOND: u64 = 1000;

fn release() -> Release {
    Release {
        id: "r1".to_owned(),
        service: "pay".to_owned(),
        changes: [("payment.limit".to_owned(), Some("7".to_owned()))].into(),
        before: [("payment.limit".to_owned(), None)].into(),
        revisions: BTreeMap::new(),
        stages: vec![Stage::Instances(1), Stage::Percent(100)],
        thresholds: Thresholds::default(),
        on_worse: OnWorse::Halt,
        by: "ada".to_owned(),
        why: String::new(),
        baseline_percent: None,
        phase: Phase::Done,
        notes: Vec::new(),
    }
}

fn report(instance: &str, has_it: bool) -> Report {
    Report {
        service: "pay".to_owned(),
        instance: instance.to_owned(),
        release: has_it.then(|| "r1".to_owned()),
        rollout: Some("r1".to_owned()),
        ready: true,
        ..Report::default()
    }
}

/// Three instances, of which so many have the changes.
fn three(has_it: usize) -> Vec<Report> {
    ["pay-1", "pay-2", "pay-3"].iter().zip(0..).map(|(name, i)| report(name, i < has_it)).collect()
}

fn begun() -> Release {
    let mut release = release();
    release.begin(0, &three(0)).unwrap();
    release
}

/// The first stage is taken over at second 1.
fn taken_over() -> Release {
    let mut release = begun();
    assert_eq!(release.advance(SECOND, &three(1)), Action::Wait);
    release
}

fn reason(release: &Release) -> &str {
    match &release.phase {
        Phase::Halted { reason, .. } => reason,
        other => panic!("not halted: {other:?}"),
    }
}

#[test]
fn goes_to_one_then_to_all_and_is_done() {
    let mut release = release();
    let first = release.begin(0, &three(0)).unwrap();
    assert_eq!(first.instances, Some(vec!["pay-1".to_owned()]));
    assert_eq!(release.progress(), (1, 2));
    assert_eq!(release.advance(SECOND, &three(0)), Action::Wait, "not taken over yet");
    assert_eq!(release.advance(2 * SECOND, &three(1)), Action::Wait, "taken over");
    assert_eq!(release.advance(31 * SECOND, &three(1)), Action::Wait, "29 s of 30 are over");
    let Action::Stage(second) = release.advance(32 * SECOND, &three(1)) else { panic!() };
    assert_eq!((second.instances, release.progress()), (None, (2, 2)));
    assert_eq!(release.advance(33 * SECOND, &three(2)), Action::Wait);
    assert_eq!(release.advance(34 * SECOND, &three(3)), Action::Wait);
    assert_eq!(release.advance(63 * SECOND, &three(3)), Action::Wait);
    assert_eq!(release.advance(64 * SECOND, &three(3)), Action::Finish);
    assert_eq!(release.phase, Phase::Done);
    assert_eq!(release.advance(65 * SECOND, &three(3)), Action::Wait, "nothing is left to do");
}

#[test]
fn does_not_begin_without_instances_or_where_one_refuses_already() {
    assert!(release().begin(0, &[]).unwrap_err().contains("`pay`"));
    let mut reports = three(0);
    reports[2].refused = Some(RefusedRevision { revision: 3, reason: "no such key".to_owned() });
    let error = release().begin(0, &reports).unwrap_err();
    assert!(error.contains("`pay-3`") && error.contains("no such key"), "{error}");
}

#[test]
fn halts_at_once_when_an_instance_refuses() {
    let mut release = begun();
    let mut reports = three(0);
    reports[0].refused = Some(RefusedRevision { revision: 9, reason: "limit is 7".to_owned() });
    assert_eq!(release.advance(SECOND, &reports), Action::Halt);
    assert_eq!(reason(&release), "`pay-1` refuses it: limit is 7");
    assert!(release.is_open());
}

fn holders(release: &Release) -> &[String] {
    match &release.phase {
        Phase::Halted { instances, .. } => instances,
        other => panic!("not halted: {other:?}"),
    }
}

#[test]
fn when_it_halts_those_keep_the_changes_who_run_them() {
    let mut release = begun();
    let mut reports = three(0);
    reports[0].refused = Some(RefusedRevision::default());
    release.advance(SECOND, &reports);
    assert!(holders(&release).is_empty(), "the only one refuses them");

    // One refuses in the last stage; a fourth came after that had begun.
    let mut release = taken_over();
    assert!(matches!(release.advance(31 * SECOND, &three(1)), Action::Stage(_)));
    let mut reports = three(2);
    reports[2].refused = Some(RefusedRevision::default());
    reports.push(report("pay-4", true));
    release.advance(32 * SECOND, &reports);
    assert_eq!(holders(&release), ["pay-1", "pay-2", "pay-4"]);
}

#[test]
fn an_instance_that_runs_the_changes_keeps_them_when_it_refuses_something_later_or_is_gone() {
    let mut release = taken_over();
    let mut reports = three(1);
    reports[0].refused = Some(RefusedRevision::default());
    assert_eq!(release.advance(2 * SECOND, &reports), Action::Halt);
    assert_eq!(holders(&release), ["pay-1"]);

    let mut release = taken_over();
    release.advance(2 * SECOND, &three(1)[1..]);
    release.advance(7 * SECOND, &three(1)[1..]);
    assert_eq!(holders(&release), ["pay-1"], "it is gone, and may come back");
}

#[test]
fn a_refusal_of_an_instance_it_has_not_reached_is_not_its_own() {
    let mut release = taken_over();
    let mut reports = three(1);
    reports[1].refused = Some(RefusedRevision::default());
    assert_eq!(release.advance(2 * SECOND, &reports), Action::Wait);
}

#[test]
fn halts_when_the_changes_are_not_taken_over_in_time() {
    let mut release = begun();
    assert_eq!(release.advance(29 * SECOND, &three(0)), Action::Wait);
    assert_eq!(release.advance(30 * SECOND, &three(0)), Action::Halt);
    assert!(reason(&release).contains("`pay-1` has not taken the changes over within 30 s"));
}

#[test]
fn halts_when_an_instance_stays_unready_and_not_when_a_probe_failed_once() {
    let mut release = taken_over();
    let mut unready = three(1);
    unready[0].ready = false;
    assert_eq!(release.advance(2 * SECOND, &unready), Action::Wait);
    assert_eq!(release.advance(6 * SECOND, &three(1)), Action::Wait, "ready again");
    assert_eq!(release.advance(7 * SECOND, &unready), Action::Wait);
    assert_eq!(release.advance(11 * SECOND, &unready), Action::Wait);
    assert_eq!(release.advance(12 * SECOND, &unready), Action::Halt);
    assert_eq!(reason(&release), "`pay-1` is not ready for 5 s");
}

#[test]
fn halts_when_an_instance_is_gone() {
    let mut release = taken_over();
    let others = &three(1)[1..];
    assert_eq!(release.advance(2 * SECOND, others), Action::Wait);
    assert_eq!(release.advance(7 * SECOND, others), Action::Halt);
    assert_eq!(reason(&release), "`pay-1` is gone for 5 s");
}

/// Requests and errors at the first instance, and at each other.
fn counted(first: (u64, u64), other: (u64, u64)) -> Vec<Report> {
    let mut reports = three(1);
    for (report, (requests, errors)) in reports.iter_mut().zip([first, other, other]) {
        (report.requests, report.errors) = (requests, errors);
    }
    reports
}

#[test]
fn halts_when_more_requests_fail_than_at_the_instances_beside() {
    let mut release = taken_over();
    assert_eq!(release.advance(2 * SECOND, &counted((100, 5), (100, 0))), Action::Wait);
    assert_eq!(release.advance(3 * SECOND, &counted((100, 6), (100, 0))), Action::Halt);
    assert_eq!(reason(&release), "6 of 100 requests fail (6.0 %; 0.0 % at the other instances)");
}

#[test]
fn an_outage_that_hits_all_is_not_blamed_on_it() {
    let mut release = taken_over();
    assert_eq!(release.advance(2 * SECOND, &counted((100, 50), (100, 50))), Action::Wait);
    assert_eq!(release.advance(3 * SECOND, &counted((100, 56), (100, 50))), Action::Halt);
}

#[test]
fn a_few_requests_say_nothing() {
    let mut release = taken_over();
    assert_eq!(release.advance(2 * SECOND, &counted((19, 19), (0, 0))), Action::Wait);
    assert_eq!(release.advance(3 * SECOND, &counted((20, 20), (0, 0))), Action::Halt);
    assert!(reason(&release).ends_with("0.0 % before)"), "{}", reason(&release));
}

#[test]
fn errors_from_before_do_not_count_and_a_restart_begins_at_zero() {
    let mut release = begun();
    release.advance(SECOND, &counted((1000, 900), (0, 0)));
    assert_eq!(release.advance(2 * SECOND, &counted((1100, 901), (0, 0))), Action::Wait);
    assert_eq!(release.advance(3 * SECOND, &counted((50, 50), (0, 0))), Action::Halt);
}

#[test]
fn the_share_before_is_what_was_counted_when_the_first_stage_was_taken_over() {
    let mut release = release();
    // Nobody knows of the release yet: these are counts of an earlier time.
    release.begin(0, &counted((0, 0), (0, 0))).unwrap();
    release.advance(SECOND, &counted((100, 30), (0, 0)));
    assert_eq!(release.baseline_percent, Some(30.0));
    assert_eq!(release.advance(2 * SECOND, &counted((200, 65), (0, 0))), Action::Wait);
    assert_eq!(release.advance(3 * SECOND, &counted((200, 66), (0, 0))), Action::Halt);
}

#[test]
fn what_an_instance_said_before_it_knew_of_the_release_is_not_compared() {
    let mut release = begun();
    let mut reports = counted((0, 0), (0, 0));
    (reports[1].rollout, reports[2].rollout) = (None, None);
    assert_eq!(release.advance(SECOND, &reports), Action::Wait);
    // Its 900 errors are of long before; they are no excuse for those of the first.
    assert_eq!(release.advance(2 * SECOND, &counted((10, 0), (1000, 900))), Action::Wait);
    assert_eq!(release.advance(3 * SECOND, &counted((110, 50), (1100, 900))), Action::Halt);
    assert!(reason(&release).contains("0.0 % at the other instances"), "{}", reason(&release));
}

#[test]
fn takes_itself_back_when_told_so() {
    let mut release = Release { on_worse: OnWorse::RollBack, ..taken_over() };
    assert_eq!(release.advance(2 * SECOND, &counted((100, 99), (0, 0))), Action::RollBack);
    assert!(
        matches!(&release.phase, Phase::RolledBack { reason } if reason.starts_with("99 of 100"))
    );
    assert!(!release.is_open());
}

#[test]
fn goes_no_further_when_it_is_stopped_from_outside() {
    let mut release = taken_over();
    assert_eq!(release.stop(2 * SECOND, "somebody set `payment.limit`", &three(1)), Action::Halt);
    assert_eq!(reason(&release), "somebody set `payment.limit`");
    assert_eq!(
        release.stop(3 * SECOND, "again", &three(1)),
        Action::Wait,
        "it stands still already"
    );
    let mut release = Release { on_worse: OnWorse::RollBack, ..taken_over() };
    assert_eq!(release.stop(2 * SECOND, "somebody set it", &three(1)), Action::RollBack);
}

#[test]
fn one_that_halted_resumes_with_the_same_instances() {
    let mut release = taken_over();
    release.advance(2 * SECOND, &counted((100, 99), (0, 0)));
    let rollout = release.resume(60 * SECOND, &three(1)).unwrap();
    assert_eq!(rollout.instances, Some(vec!["pay-1".to_owned()]));
    assert_eq!(release.advance(61 * SECOND, &counted((100, 99), (0, 0))), Action::Wait);
    assert_eq!(release.resume(0, &three(1)), None, "only one that halted");
}

#[test]
fn survives_its_driver() {
    let mut release = taken_over();
    let mut read = Release::parse(&release.to_text()).unwrap();
    assert_eq!(read, release);
    for second in [2, 31, 32, 33] {
        let reports = three(if second > 31 { 3 } else { 1 });
        assert_eq!(
            read.advance(second * SECOND, &reports),
            release.advance(second * SECOND, &reports)
        );
        read = Release::parse(&read.to_text()).unwrap();
    }
    assert_eq!(read, release);
    assert_eq!(read.progress(), (2, 2));
}

#[test]
fn notes_are_bounded() {
    let mut release = release();
    (0..300).for_each(|i| release.note(i, "x"));
    assert_eq!((release.notes.len(), release.notes[0].at_ms), (Release::MOST_NOTES, 200));
}

#[test]
fn one_that_nobody_drove_reaches_nobody_and_begins_its_stage_anew() {
    let mut release = taken_over();
    release.lapse(90 * SECOND);
    assert!(reason(&release).starts_with("nobody drove it"));
    let Phase::Halted { stage: 0, instances, .. } = &release.phase else { panic!("{release:?}") };
    assert!(instances.is_empty());
    let others: Vec<_> = three(0).into_iter().skip(1).collect();
    let rollout = release.resume(91 * SECOND, &others).unwrap();
    assert_eq!(rollout.instances, Some(vec!["pay-2".to_owned()]), "the first one is gone by now");
    let mut done = release.clone();
    done.phase = Phase::Done;
    done.lapse(92 * SECOND);
    assert_eq!(done.phase, Phase::Done);
}
