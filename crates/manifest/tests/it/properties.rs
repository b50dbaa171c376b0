//! What holds for every input.

use proptest::prelude::*;

use super::*;

/// Services `s0`, `s1`, ... with their needs, by number.
fn system(needs: &[Vec<usize>]) -> String {
    let service = |(index, needs): (usize, &Vec<usize>)| {
        let mut names: Vec<_> = needs.iter().map(|need| format!("s{need}")).collect();
        names.sort();
        names.dedup();
        format!("  s{index}: {{ run: {{ cargo: s }}, needs: [{}] }}\n", names.join(", "))
    };
    services(&needs.iter().enumerate().map(service).collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Manifest::parse(&text, "f");
    }

    #[test]
    fn no_value_panics(
        key in "(run|database|needs|versions|replicas|env|port|grpc|timeout)",
        value in "[abv0-9:,\\-?&*!|>'\"%@`#{}\\[\\]~<\\n\\t ./]{0,30}",
    ) {
        let _ = Manifest::parse(&services(&format!("  a:\n    {key}: {value}\n")), "f");
    }

    #[test]
    fn no_value_of_the_gateway_panics(
        key in "(listen|admin|auth|limits|timeouts|routes|trusted_hops|retries|access_log|workers)",
        value in "[abv0-9:,\\-?&*!|>'\"%@`#{}\\[\\]~<\\n\\t ./]{0,30}",
    ) {
        let _ = Manifest::parse(&format!("{}gateway:\n  {key}: {value}\n", services(USER)), "f");
    }

    #[test]
    fn needs_on_earlier_services_only_are_a_start_order(
        needs in proptest::collection::vec(proptest::collection::vec(0..8_usize, 0..4), 1..8),
    ) {
        let earlier: Vec<Vec<usize>> = needs
            .iter()
            .enumerate()
            .map(|(index, needs)| needs.iter().copied().filter(|need| *need < index).collect())
            .collect();
        let manifest = parse(&system(&earlier));
        let order = manifest.start_order();
        prop_assert_eq!(order.len(), manifest.services.len());
        for (index, service) in order.iter().enumerate() {
            for need in &service.needs {
                prop_assert!(order[..index].iter().any(|earlier| earlier.name == *need));
            }
        }
    }

    #[test]
    fn a_circle_of_any_length_is_refused_once(length in 2..20_usize) {
        let needs: Vec<_> = (0..length).map(|index| vec![(index + 1) % length]).collect();
        let found = problems(&system(&needs));
        prop_assert_eq!(found.len(), 1);
        prop_assert!(found[0].contains("none of these can start first"));
    }
}

#[test]
fn the_longest_chain_of_needs_starts_from_its_end_and_a_longer_one_is_refused() {
    let chain = |length: usize| -> Vec<Vec<usize>> {
        (1..length).map(|next| vec![next]).chain([vec![]]).collect()
    };
    let manifest = parse(&system(&chain(1000)));
    assert_eq!(manifest.start_order()[0].name.as_str(), "s999");
    assert!(problems(&system(&chain(1001)))[0].contains("more than 1000; split the system"));
}
