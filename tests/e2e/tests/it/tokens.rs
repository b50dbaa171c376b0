//! Tokens of an issuer with a key pair, and forgeries made from its public half.

use regatta_e2e::{Caller, RsaKey, System, reference_manifest, unix_now, unsigned};
use serde_json::{Value, json};

use crate::bad_input::assert_problem;

#[tokio::test]
async fn a_token_signed_with_the_public_key_is_refused_by_gateway_and_service() {
    let key = RsaKey::generate().unwrap();
    let system = System::start_other(|folder| {
        let public = key.write_public(folder)?;
        let manifest = reference_manifest()?;
        let keys = format!("issuer: regatta-dev\n    keys: {{ file: {:?} }}", public.display());
        let env = format!(
            "    env: {{ AUTH__PUBLIC_KEY: {:?}, AUTH__ALGORITHM: RS256 }}\n    grpc: [userservice",
            public.display().to_string()
        );
        let manifest = manifest.replace("issuer: regatta-dev", &keys);
        Ok(manifest.replace("    grpc: [userservice", &env))
    });
    let system = system.unwrap();
    let places = [
        (system.url("gateway").unwrap(), "/user-service/users/1"),
        (system.url("user-service").unwrap(), "/users/1"),
    ];
    for (base, path) in places {
        let anyone = Caller::new(&base).unwrap();
        let own = anyone.clone().with_token(&key.sign(&claims()).unwrap());
        let answer = own.get(path).await.unwrap();
        assert_problem(&answer, 404, "a token of the issuer");
        let forged = anyone.clone().with_token(&key.forge(&claims()));
        let answer = forged.get(path).await.unwrap();
        assert_problem(&answer, 401, "an HS256 token made from the RS256 public key");
        let mut admin = claims();
        admin["roles"] = json!(["admin", "user"]);
        let none = anyone.with_token(&unsigned(&admin));
        assert_problem(&none.get(path).await.unwrap(), 401, "a token without a signature");
    }
}

fn claims() -> Value {
    let now = unix_now();
    json!({
        "iss": "regatta-dev", "user_id": "1", "roles": ["user"], "iat": now, "exp": now + 600,
    })
}
