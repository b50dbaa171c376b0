//! Which steps are left to do, and what must not be.

use super::{Applied, MigrateError, Migration, checksum};

/// The steps of `known` that are not applied yet, in order.
///
/// Steps above the newest known one are left alone: they are a later release's, whose replicas run
/// beside this one during a roll-out.
pub(super) fn pending<'a>(
    known: &'a [Migration],
    applied: &[Applied],
    text: fn(&Migration) -> &'static str,
) -> Result<Vec<&'a Migration>, MigrateError> {
    let mut last = 0;
    for migration in known {
        if migration.version <= last {
            return Err(MigrateError::Unordered { version: migration.version });
        }
        last = migration.version;
    }
    let mut newest = 0;
    for done in applied.iter().filter(|done| done.version <= last) {
        let migration = known.iter().find(|migration| migration.version == done.version);
        let migration = migration.ok_or(MigrateError::Foreign { version: done.version })?;
        if checksum(text(migration)) != done.checksum {
            return Err(MigrateError::Changed { version: migration.version, name: migration.name });
        }
        newest = newest.max(done.version);
    }
    let is_applied = |version| applied.iter().any(|done| done.version == version);
    let pending: Vec<_> = known.iter().filter(|step| !is_applied(step.version)).collect();
    match pending.iter().find(|step| step.version < newest) {
        Some(late) => Err(MigrateError::Late { version: late.version, applied: newest }),
        None => Ok(pending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_applied_is_not_pending() {
        let known = [step(1, "a"), step(2, "b"), step(3, "c")];
        assert_eq!(versions(&known, &[]), [1, 2, 3]);
        assert_eq!(versions(&known, &[done(1, "a"), done(2, "b")]), [3]);
        assert!(versions(&known, &[done(1, "a"), done(2, "b"), done(3, "c")]).is_empty());
    }

    #[test]
    fn steps_of_a_later_release_are_left_alone() {
        assert!(versions(&[step(1, "a")], &[done(1, "a"), done(2, "later")]).is_empty());
    }

    #[test]
    fn an_edited_step_is_refused() {
        let error = plan(&[step(1, "a")], &[done(1, "b")]).unwrap_err();
        assert!(matches!(error, MigrateError::Changed { version: 1, name: "step" }), "{error}");
    }

    #[test]
    fn a_step_below_the_newest_known_that_is_not_known_is_refused() {
        let error = plan(&[step(1, "a"), step(3, "c")], &[done(1, "a"), done(2, "b")]).unwrap_err();
        assert!(matches!(error, MigrateError::Foreign { version: 2 }), "{error}");
    }

    #[test]
    fn a_step_added_below_an_applied_one_is_refused() {
        let error = plan(&[step(1, "a"), step(2, "b")], &[done(2, "b")]).unwrap_err();
        assert!(matches!(error, MigrateError::Late { version: 1, applied: 2 }), "{error}");
    }

    #[test]
    fn the_list_ascends_from_one() {
        for known in [vec![step(0, "a")], vec![step(2, "a"), step(2, "b")]] {
            assert!(matches!(plan(&known, &[]), Err(MigrateError::Unordered { .. })));
        }
    }

    fn versions(known: &[Migration], applied: &[Applied]) -> Vec<i64> {
        plan(known, applied).unwrap().iter().map(|migration| migration.version).collect()
    }

    fn plan<'a>(
        known: &'a [Migration],
        applied: &[Applied],
    ) -> Result<Vec<&'a Migration>, MigrateError> {
        pending(known, applied, |migration| migration.sqlite)
    }

    fn step(version: i64, sqlite: &'static str) -> Migration {
        Migration { version, name: "step", sqlite, postgres: "" }
    }

    fn done(version: i64, sql: &'static str) -> Applied {
        Applied { version, checksum: checksum(sql) }
    }
}
