//! Figures as a table or as JSON lines.

/// One comparison.
pub(crate) struct Figure {
    what: String,
    ours: f64,
    peer: &'static str,
    peer_value: f64,
    unit: &'static str,
}

/// Ours beside nginx and HAProxy, in that order.
pub(crate) fn beside_ours(what: &str, values: &[f64; 3], unit: &'static str) -> Vec<Figure> {
    [("nginx", values[1]), ("haproxy", values[2])]
        .into_iter()
        .map(|(peer, peer_value)| Figure {
            what: what.to_owned(),
            ours: values[0],
            peer,
            peer_value,
            unit,
        })
        .collect()
}

pub(crate) fn print(figures: &[Figure], json: bool) {
    if !json {
        println!("{:<28} {:>8} {:>9} {:>8} {:>7}  unit", "what", "ours", "peer", "", "ratio");
    }
    for Figure { what, ours, peer, peer_value, unit } in figures {
        let ratio = ours / peer_value.max(0.001);
        if json {
            let line = serde_json::json!({
                "what": what, "ours": ours, "peer": peer, "peer_value": peer_value,
                "ratio": ratio, "unit": unit,
            });
            println!("{line}");
        } else {
            println!("{what:<28} {ours:>8.2} {peer:>9} {peer_value:>8.2} {ratio:>7.2}  {unit}");
        }
    }
}
