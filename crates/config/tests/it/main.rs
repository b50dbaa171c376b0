//! The public face of the configuration.
#![allow(clippy::unwrap_used, reason = "tests panic on failure")]

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_config::{ByteSize, Config, Groups, Problems, choices, settings};
use regatta_core::Secret;

mod center;
mod default_file;
mod entries;
mod environment;
mod fields;
mod problems;
mod properties;
mod scalars;
mod sources;
mod stores;

choices! {
    /// How log lines look.
    #[derive(Default)]
    pub enum LogFormat {
        /// One JSON object a line.
        #[default]
        Json = "json",
        /// For people.
        Text = "text",
    }
}

settings! {
    /// How the server listens.
    pub struct ServerSettings in "server" {
        /// Port to listen on.
        pub port: u16 = 8080, env "PORT", range 1..;
        /// Time to read a request's head.
        pub header_read_timeout: Duration = Duration::from_secs(10),
            range Duration::from_millis(1)..=Duration::from_secs(600);
        /// Largest body.
        pub max_body: ByteSize = ByteSize::mib(1);
        /// Names the server answers to.
        pub names: Vec<String> = vec!["localhost".to_owned()];
        /// Headers of every response.
        pub headers: BTreeMap<String, String>;
        /// How log lines look.
        pub log: LogFormat;
    }
}

settings! {
    /// How tokens are verified.
    pub struct AuthSettings in "auth" {
        /// The key.
        pub secret: Secret, required, env "JWT_SECRET", validate long_enough;
        /// Who issues tokens.
        pub issuer: Option<String>;
    }
}

settings! {
    /// When the breaker of a client opens.
    pub struct BreakerSettings in "client.breaker" {
        /// Failures in a row that open it.
        pub failure_threshold: u32 = 5, range 1..=1000;
        /// Share of calls that are let through while half-open.
        pub share: f64 = 0.1;
        /// Whether there is one.
        pub enabled: bool = true;
    }
}

type All = (ServerSettings, AuthSettings, BreakerSettings);

fn long_enough(secret: &Secret) -> Result<(), &'static str> {
    let long = secret.expose().len() >= 8;
    if long { Ok(()) } else { Err("use 8 bytes or more") }
}

fn config(yaml: &str, environment: &[(&str, &str)]) -> Config {
    let variables = environment.iter().map(|(name, text)| ((*name).into(), (*text).into()));
    Config::builder().yaml("config.yaml", yaml).environment(variables).build().unwrap()
}

fn load<G: Groups>(yaml: &str, environment: &[(&str, &str)]) -> Result<G, Problems> {
    config(yaml, environment).load()
}

/// The problems, one a line.
fn report<G: Groups>(yaml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match load::<G>(yaml, environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.as_slice().iter().map(ToString::to_string).collect(),
    }
}
