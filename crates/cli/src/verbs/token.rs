//! `regatta token`: a token for development.

use std::time::Duration;

use clap::Args;
use regatta_auth::{Grant, Issuer, SigningKey};
use regatta_core::Secret;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Format, out};
use crate::system::Place;
use crate::verbs::up::duration;

/// Prints a token signed with the development secret that `up` made.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Whom it is for.
    #[arg(long, value_name = "ID")]
    user: String,
    /// What he may do; may be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// How long it is valid, such as 30m or 24h.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    ttl: Duration,
}

impl Token {
    pub(crate) fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let (manifest_path, manifest) = place.manifest()?;
        let auth = manifest.gateway.auth.as_ref();
        if auth.is_some_and(|auth| !auth.secret) {
            return Err(Failure::new(format!(
                "nobody in this system believes a token of the development secret: `{}` names \
                 gateway.auth.keys without the secret; get a token from the issuer of those keys, or \
                 set gateway.auth.secret: true beside them",
                manifest_path.display()
            )));
        }
        let path = place.layout()?.secret_file();
        let secret = regatta_supervisor::read_secret(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                let text = "there is no development secret yet; `regatta up` makes one";
                return Failure::new(text);
            }
            Failure::from(error)
        })?;
        let mut issuer = Issuer::new(SigningKey::hs256(&Secret::new(secret))?).lifetime(self.ttl);
        if let Some(auth) = auth {
            issuer = issuer.issuer(&auth.issuer);
            if let Some(audience) = &auth.audience {
                issuer = issuer.audience(audience);
            }
        }
        let grant = Grant::new(&self.user).roles(&self.roles);
        let now = regatta_auth::now();
        let token = issuer.issue(&grant, now);
        let token = token.map_err(|error| Failure::usage(error.to_string()))?;
        match format {
            Format::Text => out(&token),
            Format::Json => {
                let expires = time::OffsetDateTime::from(now) + self.ttl;
                let expires = expires.format(&time::format_description::well_known::Rfc3339)?;
                let issuer = auth.map(|auth| &auth.issuer);
                let value = json!({ "token": token, "user_id": self.user, "roles": self.roles,
                    "issuer": issuer, "expires_at": expires });
                out(&value.to_string());
            }
        }
        Ok(())
    }
}
