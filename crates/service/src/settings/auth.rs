//! Group `auth`: whose tokens are believed.

use std::path::PathBuf;
use std::time::Duration;

use regatta_config::{choices, settings};
use regatta_core::Secret;

settings! {
    /// Whose tokens are believed. A service that asks for no token needs none of it.
    pub struct AuthSettings in "auth" {
        /// Key of HS256 tokens, 32 bytes or more, shared by issuer and services.
        pub secret: Option<Secret>;
        /// PEM file with the public key of RS256, ES256 or EdDSA tokens.
        pub public_key: Option<PathBuf>;
        /// The issuer that a token must name (`iss`).
        pub issuer: Option<String>;
        /// The audience that a token must name (`aud`).
        pub audience: Option<String>;
        /// How far the clocks of issuer and service may be apart.
        pub leeway: Duration = Duration::from_secs(30), range ..=Duration::from_secs(300);
        /// Whether gRPC, the face towards other services, takes a token too.
        pub grpc: GrpcAuth;
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
