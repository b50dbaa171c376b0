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
    etcd: Vec<f64>,
}

/// All figures, in the order in which they came.
#[derive(Default)]
pub(crate) struct Report(Vec<Figure>);

impl Report {
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        what: String,
        unit: &'static str,
        better: Better,
        value: f64,
    ) {
        let at = self.0.iter().position(|figure| figure.what == what).unwrap_or_else(|| {
            self.0.push(Figure { what, unit, better, ours: Vec::new(), etcd: Vec::new() });
            self.0.len() - 1
        });
        let figure = &mut self.0[at];
        match kind {
            Kind::Ours => figure.ours.push(value),
            Kind::Etcd => figure.etcd.push(value),
        }
    }

    /// A ratio above 1 says that ours is better.
    pub(crate) fn print(mut self, as_json: bool) {
        for figure in &mut self.0 {
            let (ours, etcd) = (median(&mut figure.ours), median(&mut figure.etcd));
            let ratio = match figure.better {
                Better::More => ours / etcd,
                Better::Less => etcd / ours,
            };
            let Figure { what, unit, .. } = figure;
            if as_json {
                let line = json!({
                    "what": what, "ours": ours, "peer": "etcd", "peer_value": etcd,
                    "ratio": ratio, "unit": unit,
                });
                println!("{line}");
            } else {
                println!("{what:<56} {ours:>10.2} etcd {etcd:>10.2} {unit:<4} ratio {ratio:.2}");
            }
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
