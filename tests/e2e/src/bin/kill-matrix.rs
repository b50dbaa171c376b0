//! The kill matrix, from the command line: `cargo xtask kill-matrix`.

use std::process::ExitCode;

use regatta_e2e::kill::{Engines, Matrix};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (rounds, engines) = (arguments.next(), arguments.next());
    let parsed = rounds.as_deref().unwrap_or("20").parse::<u64>();
    let engines = engines.as_deref().unwrap_or("sqlite").parse::<Engines>();
    let (Ok(rounds), Ok(engines)) = (parsed, engines) else {
        eprintln!(
            "usage: kill-matrix ROUNDS ENGINES; engines are sqlite, postgres or postgres+nats"
        );
        return ExitCode::from(2);
    };
    match (Matrix { engines, rounds }).run().await {
        Ok((tally, verdict)) => {
            for ((victim, step), count) in &tally.kills {
                println!("{count:>5} x kill -9 of {victim}, an order being {step}");
            }
            println!("{:>5} outages longer than orders wait", tally.long_outages);
            println!("{rounds} kills, {} orders acknowledged; {verdict:?}", tally.acknowledged);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
