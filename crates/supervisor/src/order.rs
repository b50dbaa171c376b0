//! Which parts start before which: levels by what each needs.

use std::collections::BTreeSet;

use crate::part::{Kind, Part};

/// Sorts the parts into levels: each part is in the first level after all it needs.
///
/// Starting follows the levels from the first to the last, stopping from the last to the first. A
/// need that is no part is as good as met. Parts that need each other (the manifest refuses this)
/// land in one last level.
pub fn levels(parts: &[Part]) -> Vec<Vec<usize>> {
    let mut waiting: Vec<usize> = (0..parts.len()).collect();
    let mut levels = Vec::new();
    while !waiting.is_empty() {
        let missing: BTreeSet<&str> = waiting.iter().map(|&i| parts[i].service.as_str()).collect();
        let (mut free, rest): (Vec<_>, Vec<_>) = waiting
            .iter()
            .partition(|&&i| parts[i].needs.iter().all(|need| !missing.contains(need.as_str())));
        if free.is_empty() {
            free = rest.clone();
        }
        waiting.retain(|i| !free.contains(i));
        levels.push(free);
    }
    levels
}

/// Sorts the parts into the levels in which they end: the gateway first, so that nothing comes in
/// any more, then those that nobody needs, and so on.
pub(crate) fn stop_levels(parts: &[Part]) -> Vec<Vec<usize>> {
    let is_gateway = |index: &usize| parts[*index].kind == Kind::Gateway;
    let gateways: Vec<usize> = (0..parts.len()).filter(is_gateway).collect();
    let others = levels(parts).into_iter().rev().map(|mut level| {
        level.retain(|index| !is_gateway(index));
        level
    });
    std::iter::once(gateways).chain(others).filter(|level| !level.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::tests::part;

    fn named(parts: &[Part]) -> Vec<Vec<&str>> {
        names(parts, levels(parts))
    }

    fn names(parts: &[Part], levels: Vec<Vec<usize>>) -> Vec<Vec<&str>> {
        let level = |level: Vec<usize>| level.into_iter().map(|i| &*parts[i].name).collect();
        levels.into_iter().map(level).collect()
    }

    #[test]
    fn the_gateway_ends_first_and_the_rest_before_what_it_needs() {
        let mut gateway = part("gateway", &["registry"]);
        gateway.kind = Kind::Gateway;
        let order = part("order", &["user", "registry"]);
        let parts = [part("registry", &[]), part("user", &["registry"]), order, gateway];
        let expected = [["gateway"], ["order"], ["user"], ["registry"]];
        assert_eq!(names(&parts, stop_levels(&parts)), expected);
    }

    #[test]
    fn a_part_comes_after_all_it_needs() {
        let parts = [
            part("gateway", &["control-plane"]),
            part("order", &["user", "payment", "control-plane"]),
            part("user", &["control-plane"]),
            part("payment", &["control-plane"]),
            part("control-plane", &[]),
        ];
        let expected = [vec!["control-plane"], vec!["gateway", "user", "payment"], vec!["order"]];
        assert_eq!(named(&parts), expected);
    }

    #[test]
    fn a_part_comes_after_every_replica_it_needs() {
        let mut second = part("user-2", &["slow"]);
        second.service = "user".to_owned();
        let mut first = part("user-1", &[]);
        first.service = "user".to_owned();
        let parts = [part("order", &["user"]), first, second, part("slow", &[])];
        assert_eq!(named(&parts), [vec!["user-1", "slow"], vec!["user-2"], vec!["order"]]);
    }

    #[test]
    fn a_need_that_is_no_part_holds_nobody_up() {
        assert_eq!(named(&[part("order", &["elsewhere"])]), [vec!["order"]]);
    }

    #[test]
    fn parts_that_need_each_other_still_end() {
        assert_eq!(named(&[part("a", &["b"]), part("b", &["a"])]), [vec!["a", "b"]]);
    }
}
