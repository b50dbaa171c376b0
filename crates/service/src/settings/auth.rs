//! Group `auth`: whose tokens are believed.

use std::path::PathBuf;
use std::time::Duration;

use regatta_auth::{InvalidKey, InvalidLocation, Keys, VerifyingKey};
use regatta_config::{choices, settings};
use regatta_core::Secret;

settings! {
    /// Whose tokens are believed. A service that asks for no token needs none of it.
    pub struct AuthSettings in "auth" {
        /// Key of HS256 tokens, 32 bytes or more, shared by issuer and services.
        pub secret: Option<Secret>, validate long_enough;
        /// PEM file with the public key of RS256, ES256 or EdDSA tokens.
        pub public_key: Option<PathBuf>;
        /// Algorithm of that key.
        pub algorithm: KeyAlgorithm;
        /// File or URL (http, https) of an issuer's public keys: a JWKS document, or in a file one
        /// key in PEM. Read again while the service runs, every 10 s (a URL every 5 min) and when a
        /// token names a key that is not known.
        pub keys: Option<String>, validate a_location;
        /// The issuer that a token must name (`iss`).
        pub issuer: Option<String>;
        /// The audience that a token must name (`aud`).
        pub audience: Option<String>;
        /// How far the clocks of issuer and service may be apart.
        pub leeway: Duration = regatta_auth::Verifier::LEEWAY, range ..=Duration::from_secs(300);
        /// Whether gRPC, the face towards other services, takes a token too.
        pub grpc: GrpcAuth;
    }
}

choices! {
    /// Algorithm of a public key.
    #[derive(Default)]
    pub enum KeyAlgorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// Ed25519.
        #[default]
        EdDsa = "EdDSA",
    }
}

choices! {
    /// Whether gRPC takes a token.
    #[derive(Default)]
    pub enum GrpcAuth {
        /// No: who reaches the port may call.
        #[default]
        None = "none",
        /// Yes: a valid token, whatever its roles.
        Required = "required",
    }
}

/// A secret that could be guessed is refused at start, whether or not a route asks for tokens.
fn long_enough(secret: &Option<Secret>) -> Result<(), InvalidKey> {
    secret.as_ref().map_or(Ok(()), |secret| VerifyingKey::hs256(secret).map(|_| ()))
}

fn a_location(keys: &Option<String>) -> Result<(), InvalidLocation> {
    keys.as_deref().map_or(Ok(()), |keys| keys.parse::<Keys>().map(|_| ()))
}

#[cfg(test)]
mod tests {
    use regatta_config::Config;

    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_not_shown() {
        let yaml = "auth: {secret: hunter2hunter2}";
        let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
        let problems = config.load::<AuthSettings>().unwrap_err().to_string();
        assert!(problems.contains("auth.secret") && problems.contains("32 or more"), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn keys_are_a_file_or_a_url_of_the_web() {
        let load = |keys: &str| {
            let config =
                Config::builder().yaml("config.yaml", &format!("auth: {{keys: '{keys}'}}"));
            config.build().unwrap().load::<AuthSettings>()
        };
        assert_eq!(load("https://idp/keys").unwrap().keys.as_deref(), Some("https://idp/keys"));
        assert!(load("/etc/keys.json").is_ok());
        let problems = load("ftp://idp/keys").unwrap_err().to_string();
        assert!(problems.contains("auth.keys") && problems.contains("http"), "{problems}");
    }
}
