//! `regatta events redrive`: dead letters, delivered again as if for the first time.

use std::time::Duration;

use clap::Args;
use regatta_events::{GroupName, Redrive as Which};
use serde_json::json;

use super::dead::{all, show};
use super::place::{BusPlace, group, known};
use crate::failure::Failure;
use crate::output::{Format, err, out};
use crate::system::Place;

/// Delivers dead letters of a group again, the oldest first; tells first how many there are.
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The group, such as order-service.
    #[arg(value_name = "GROUP", value_parser = group)]
    group: GroupName,
    /// Only those at these positions; may be given several times. Default: all.
    #[arg(long = "position", value_name = "POSITION")]
    positions: Vec<u64>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = u32::MAX)]
    limit: u32,
    /// How many a second: a group that fails again should not fail all at once.
    #[arg(long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Shows what would be delivered, and delivers nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    bus: BusPlace,
}

impl Redrive {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let bus = self.bus.open(place).await?;
        known(&*bus, &self.group).await?;
        let mut letters = all(&*bus, &self.group).await?;
        let there = letters.len();
        if !self.positions.is_empty() {
            letters.retain(|letter| self.positions.contains(&letter.position));
        }
        letters.truncate(self.limit as usize);
        let chosen = letters.len();
        err(&format!("{} has {there} dead letters; {chosen} of them are chosen", self.group));
        if self.dry_run {
            show(&letters, format);
            return Ok(());
        }
        let positions: Vec<_> = letters.iter().map(|letter| letter.position).collect();
        let mut redriven = 0;
        for (number, slice) in slices(&positions, self.rate).enumerate() {
            if number > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            redriven += bus.redrive(&self.group, &Which::Positions(slice.to_vec())).await?;
        }
        match format {
            Format::Json => {
                out(&json!({ "dead": there, "chosen": chosen, "redriven": redriven }).to_string());
            }
            Format::Text => out(&format!("{redriven} are delivered again")),
        }
        Ok(())
    }
}

/// What is delivered in each second.
fn slices(positions: &[u64], rate: u32) -> impl Iterator<Item = &[u64]> {
    positions.chunks(rate.max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_no_more_than_its_rate() {
        let positions: Vec<u64> = (0..25).collect();
        let sizes: Vec<_> = slices(&positions, 10).map(<[u64]>::len).collect();
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(slices(&[], 10).count(), 0);
    }
}
