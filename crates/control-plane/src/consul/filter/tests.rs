//! Filter expressions as Consul 1.8.7 judges them, unless a test says otherwise.

use serde_json::json;

use super::*;

/// Three instances, as `/v1/health/service/:name` shows them.
fn rows() -> Value {
    let node = json!({"Node": "n", "Datacenter": "dc1", "Meta": {}});
    json!([
        {
            "Node": node,
            "Service": {
                "ID": "f1", "Port": 80, "Tags": ["a", "b"], "Meta": {"v": "1", "x-y": "z"},
                "EnableTagOverride": true, "TaggedAddresses": {"lan": {"Address": "h", "Port": 80}},
            },
            "Checks": [{"Status": "passing"}, {"Status": "passing", "ServiceTags": ["a"]}],
        },
        {
            "Node": node,
            "Service": {
                "ID": "f2", "Port": 81, "Tags": ["b"], "Meta": {"v": "2"},
                "EnableTagOverride": false, "TaggedAddresses": {"lan": {"Address": "h", "Port": 81}},
            },
            "Checks": [{"Status": "passing"}, {"Status": "critical", "ServiceTags": ["b"]}],
        },
        {
            "Node": node,
            "Service": {
                "ID": "f3", "Port": 0, "Tags": [], "Meta": null, "EnableTagOverride": false,
            },
            "Checks": [{"Status": "passing"}],
        },
    ])
}

fn filtered(expression: &str, rows: Value) -> Result<Value, Failure> {
    Filter(Some(expression::parse(expression).map_err(refused)?)).apply(rows)
}

/// The ids of what is left, or why not.
fn left(expression: &str) -> String {
    match filtered(expression, rows()) {
        Ok(rows) => {
            let ids = rows.as_array().unwrap().iter();
            ids.map(|row| row["Service"]["ID"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
        }
        Err(failure) => failure.text().to_owned(),
    }
}

#[test]
fn fields_are_compared_by_their_type() {
    for (expression, wanted) in [
        ("Service.ID == f1", "f1"),
        ("Service.ID==\"f1\"", "f1"),
        ("Service.ID == `f1`", "f1"),
        ("Service.ID == \"f\\u0031\"", "f1"),
        ("Service.ID == f1.x", ""),
        ("Service.ID != f1", "f2 f3"),
        ("Service.Port == 80", "f1"),
        ("Service.Port == \"80\"", "f1"),
        ("Service.Port != 80", "f2 f3"),
        ("Service.Port == -1", ""),
        ("Service.EnableTagOverride == true", "f1"),
        ("Service.EnableTagOverride != 1", "f2 f3"),
        ("Service.Kind == \"\"", "f1 f2 f3"),
        ("Service.ID matches \"f[12]\"", "f1 f2"),
        ("Service.ID not matches \"f1\"", "f2 f3"),
        ("Service.ID contains f", "f1 f2 f3"),
        ("2 in Service.ID", "f2"),
    ] {
        assert_eq!(left(expression), wanted, "{expression}");
    }
}

#[test]
fn lists_and_maps_are_asked_for_what_they_hold() {
    for (expression, wanted) in [
        ("a in Service.Tags", "f1"),
        ("\"a\"  not in Service.Tags", "f2 f3"),
        ("Service.Tags contains b", "f1 f2"),
        ("Service.Tags not contains b", "f3"),
        ("Service.Tags is empty", "f3"),
        ("Service.Tags is not empty", "f1 f2"),
        ("Service.Meta is empty", "f3"),
        ("v in Service.Meta", "f1 f2"),
        ("v not in Service.Meta", "f3"),
        ("Service.Meta.v == 1", "f1"),
        ("Service.Meta.v != 1", "f2 f3"),
        ("Service.Meta[\"x-y\"] == z", "f1"),
        ("Service.Meta.v matches \"1|2\"", "f1 f2 f3"),
        ("Service.Meta.v not matches \"1\"", "f2 f3"),
        ("1 in Service.Meta.v", "f1"),
        ("1 not in Service.Meta.v", "f2 f3"),
        ("Node.Meta.none == x", ""),
        ("Node.Meta.none != x", "f1 f2 f3"),
        ("Service.TaggedAddresses.lan.Port == 80", "f1"),
        ("Service.TaggedAddresses.lan.Port != 80", "f2 f3"),
        ("Service.TaggedAddresses is empty", "f3"),
        ("Checks is not empty", "f1 f2 f3"),
    ] {
        assert_eq!(left(expression), wanted, "{expression}");
    }
}

#[test]
fn of_a_list_of_rows_one_is_enough() {
    for (expression, wanted) in [
        ("Checks.Status == critical", "f2"),
        ("Checks.Status != critical", "f1 f2 f3"),
        ("not Checks.Status == critical", "f1 f3"),
    ] {
        assert_eq!(left(expression), wanted, "{expression}");
    }
}

#[test]
fn not_binds_closer_than_and_which_binds_closer_than_or() {
    for (expression, wanted) in [
        ("Service.ID == f1 or Service.ID == f2 and Service.Port == 80", "f1"),
        ("(Service.ID == f1 or Service.ID == f2) and (Service.Port==81)", "f2"),
        ("not Service.ID == f1 and Service.Port == 81", "f2"),
        ("not ( Service.ID == f1 or Service.ID == f2 )", "f3"),
        ("Service.ID == f1 or not Service.ID == f2", "f1 f3"),
        ("not not Service.ID == f1", "f1"),
    ] {
        assert_eq!(left(expression), wanted, "{expression}");
    }
}

#[test]
fn what_no_row_can_answer_is_refused_with_the_reason() {
    for (expression, reason) in [
        ("Nope == 1", "Selector \"Nope\" is not valid"),
        ("Service.Nope == 1", "Selector \"Service.Nope\" is not valid"),
        ("Service.Tags.a == b", "Selector \"Service.Tags.a\" is not valid"),
        ("Service.ID.x == b", "Selector \"Service.ID.x\" is not valid"),
        ("Service.Meta == 1", "Invalid match operator \"Equal\" for selector \"Service.Meta\""),
        ("Service.ID is empty", "Invalid match operator \"Is Empty\""),
        ("80 in Service.Port", "Invalid match operator \"In\""),
        ("Service.Tags matches a", "Invalid match operator \"Matches\""),
        ("Service.Port == abc", "Failed to coerce value \"abc\" for selector \"Service.Port\""),
        ("Service.Port == 80.0", "Failed to coerce value \"80.0\""),
        ("Service.EnableTagOverride == yes", "Failed to coerce value \"yes\""),
        ("Service.ID matches \"[\"", "Failed to compile regular expression \"[\""),
    ] {
        let said = left(expression);
        let wanted = format!("Failed to create boolean expression evaluator: {reason}");
        assert!(said.starts_with(&wanted), "{expression}: {said}");
    }
}

#[test]
fn what_is_no_expression_is_refused_with_the_reason() {
    let deep = format!("{}Service.ID == f1", "not ".repeat(40));
    for (expression, reason) in [
        ("Service.ID", "expected an operator where it ends"),
        ("Service.ID = f1", "`=` after 11 bytes means nothing"),
        ("Service.ID ==", "expected a value where it ends"),
        ("== 1", "expected a field or a value, not `==`"),
        ("Service.ID == f1 and", "expected a field or a value where it ends"),
        ("Service.ID == f1 Service.ID == f2", "expected `and`, `or` or the end, not `Service.ID`"),
        ("Service.ID == f1 OR Service.ID == f2", "expected `and`, `or` or the end, not `OR`"),
        ("Service.ID == 'f1'", "`'` after 14 bytes means nothing; quote values"),
        ("Service.Meta.x-y == z", "`Service.Meta.x` is followed by what is in no name"),
        ("Service.Address == 10.1.1.1", "`10.1.1.1` is no number; quote it"),
        ("Service.Port == 0x50", "`0x50` is no number"),
        ("\"Service.ID\" == f1", "\"Service.ID\" is no field; behind a value comes `in`"),
        ("a in 1", "expected a field, not `1`"),
        ("(Service.ID == f1", "expected `)` where it ends"),
        ("Service.Tags is full", "expected `empty`, not `full`"),
        ("Service.ID == \"f1", "a value has no closing quotation mark"),
        ("Service. == f1", "expected a name behind `.`"),
        ("Service.Meta[\"v\" == f1", "expected `]` behind a name in brackets"),
        (&deep, "it is nested deeper than 32 levels"),
    ] {
        let said = left(expression);
        let wanted = format!("Failed to create boolean expression evaluator: {reason}");
        assert!(said.starts_with(&wanted), "{expression}: {said}");
    }
}

#[test]
fn many_in_a_row_are_not_deep() {
    assert_eq!(left(&vec!["Service.ID == f1"; 200].join(" or ")), "f1");
    assert_eq!(left(&vec!["(not (Service.ID == f1))"; 200].join(" and ")), "f2 f3");
}

#[test]
fn maps_of_rows_and_the_services_of_a_node_are_filtered_too() {
    let of = |id: &str| json!({"ID": id, "Port": 1});
    let map = json!({"Services": of("Services"), "b": of("b")});
    assert_eq!(filtered("ID == b", map).unwrap(), json!({"b": of("b")}));
    let node = json!({"Node": {"Node": "n"}, "Services": {"ID": of("ID"), "b": of("b")}});
    let wanted = json!({"Node": {"Node": "n"}, "Services": {"b": of("b")}});
    assert_eq!(filtered("ID == b", node).unwrap(), wanted);
    let node = json!({"Node": {"Node": "n"}, "Services": [of("a"), of("b")]});
    let wanted = json!({"Node": {"Node": "n"}, "Services": [of("b")]});
    assert_eq!(filtered("ID == b", node).unwrap(), wanted);
    assert_eq!(filtered("ID == b", Value::Null).unwrap(), Value::Null);
}
