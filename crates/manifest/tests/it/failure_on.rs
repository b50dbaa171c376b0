//! What counts as a failure, and what is wrong with it.

use super::*;

fn traffic(rules: &str) -> String {
    format!("{}\ngateway:\n  traffic: {{ {rules} }}\n", services(USER))
}

#[test]
fn a_list_of_words_statuses_and_codes_is_read_as_it_stands() {
    let text = traffic("failure_on: [connect, 5xx, 429, grpc:UNAVAILABLE, grpc:data_loss]");
    let words = parse(&text).gateway.traffic.failure_on.unwrap();
    assert_eq!(words, ["connect", "5xx", "429", "grpc:UNAVAILABLE", "grpc:data_loss"]);
    assert_eq!(parse(&traffic("failure_on: []")).gateway.traffic.failure_on, Some(Vec::new()));
    assert_eq!(parse(&traffic("retries: 1")).gateway.traffic.failure_on, None);
}

#[test]
fn what_is_no_condition_is_refused_with_those_that_are() {
    for (list, part) in [
        ("[timeout, time]", "`time` is nothing that can count as a failure"),
        ("[conect]", "did you mean `connect`?"),
        ("[399]", "a status from 400 to 599"),
        ("[600]", "such as 429"),
        ("[0429]", "gateway_error"),
        ("[grpc:OK]", "grpc:UNAVAILABLE"),
        ("[5xx, 5xx]", "occurs twice"),
        ("timeout", "expected a list"),
    ] {
        let text = traffic(&format!("failure_on: {list}"));
        let problems = regatta_manifest::Manifest::parse(&text, "regatta.yaml").unwrap_err();
        let problems = problems.to_string();
        assert!(problems.contains("gateway.traffic.failure_on"), "{problems}");
        assert!(problems.contains(part), "{list}: {problems}");
    }
}

#[test]
fn bounds_of_an_adaptive_limit_need_one() {
    for key in ["least: 3", "most: 30", "tolerance_percent: 200"] {
        let text = traffic(&format!("concurrency: {{ {key} }}"));
        let problems = regatta_manifest::Manifest::parse(&text, "regatta.yaml").unwrap_err();
        assert!(problems.to_string().contains("write `adaptive: true`"), "{problems}");
        parse(&traffic(&format!("concurrency: {{ adaptive: true, {key} }}")));
    }
}
