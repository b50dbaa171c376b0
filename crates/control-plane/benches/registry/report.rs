//! Figures side by side.

use serde_json::json;

use crate::server::Kind;

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

struct Figure {
    what: String,
    unit: &'static str,
    better: Better,
    ours: Vec<f64>,
    consul: Vec<f64>,
}

/// All figures, in the order in which they came.
#[derive(Default)]
pub(crate) struct Report(Vec<Figure>);

impl Report {
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        what: &str,
        unit: &'static str,
        better: Better,
        value: f64,
    ) {
        let at = self.0.iter().position(|figure| figure.what == what).unwrap_or_else(|| {
            self.0.push(Figure {
                what: what.to_owned(),
                unit,
                better,
                ours: Vec::new(),
                consul: Vec::new(),
            });
            self.0.len() - 1
        });
        match kind {
            Kind::Ours => self.0[at].ours.push(value),
            Kind::Consul => self.0[at].consul.push(value),
        }
    }

    /// A ratio above 1 says that ours is better.
    pub(crate) fn print(mut self, as_json: bool) {
        for Figure { what, unit, better, ours, consul } in &mut self.0 {
            let (ours, consul) = (median(ours), median(consul));
            let ratio = match better {
                Better::More => ours / consul,
                Better::Less => consul / ours,
            };
            if as_json {
                let line = json!({
                    "what": what, "ours": ours, "peer": "Consul", "peer_value": consul,
                    "ratio": ratio, "unit": unit,
                });
                println!("{line}");
            } else {
                println!(
                    "{what:<40} {ours:>10.2} Consul {consul:>10.2} {unit:<4} ratio {ratio:.2}"
                );
            }
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
