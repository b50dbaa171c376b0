//! `regatta control hash`: what the access file holds of a secret.

use std::io::BufRead;

use clap::{Args, ValueEnum};
use regatta_control_plane::{Secret, hash_password, hash_token};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Format, out};

/// Prints the line of the access file for a password that it reads from its input, or draws a
/// token and prints both the token and its line.
#[derive(Debug, Args)]
pub(crate) struct Hash {
    /// What to hash.
    #[arg(value_enum)]
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// A password for etcd's clients, one line of the input.
    Password,
    /// A new token, drawn at random.
    Token,
}

impl Hash {
    pub(crate) fn run(self, format: Format) -> Result<(), Failure> {
        match self.what {
            What::Password => {
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line)?;
                let password = line.trim_end_matches(['\r', '\n']);
                if password.is_empty() {
                    return Err(Failure::usage(
                        "there is no password in the input; write it there, as in \
                         `regatta control hash password < file`",
                    ));
                }
                let hash = hash_password(&Secret::new(password));
                match format {
                    Format::Json => out(&json!({ "password": hash }).to_string()),
                    Format::Text => out(&format!("password: {hash}")),
                }
            }
            What::Token => {
                let token = regatta_control_plane::draw_token();
                let hash = hash_token(&token);
                match format {
                    Format::Json => {
                        out(&json!({ "token": token.expose(), "sha256": hash }).to_string());
                    }
                    Format::Text => {
                        out(&format!("token: {}", token.expose()));
                        out(&format!("sha256: {hash}"));
                    }
                }
            }
        }
        Ok(())
    }
}
