//! The commented file of defaults.

use regatta_config::{Settings, default_file};

use super::*;

fn schemas() -> Vec<regatta_config::Schema> {
    let mut schemas = Vec::new();
    All::schemas(&mut schemas);
    schemas
}

#[test]
fn every_setting_stands_with_its_doc_type_default_and_variables() {
    let text = AuthSettings::schema().to_yaml() + "\n" + &BreakerSettings::schema().to_yaml();
    assert_eq!(
        text,
        "\
# How tokens are verified.
auth:
  # The key.
  # Required: a secret text. Environment: AUTH__SECRET, JWT_SECRET.
  # secret:
  # Who issues tokens.
  # Type: a text. Environment: AUTH__ISSUER.
  # issuer:

client:
  # When the breaker of a client opens.
  breaker:
    # Failures in a row that open it.
    # Type: a whole number from 0 to 4294967295; 1 to 1000. Environment: \
         CLIENT__BREAKER__FAILURE_THRESHOLD.
    # failure_threshold: 5
    # Share of calls that are let through while half-open.
    # Type: a number. Environment: CLIENT__BREAKER__SHARE.
    # share: 0.1
    # Whether there is one.
    # Type: true or false. Environment: CLIENT__BREAKER__ENABLED.
    # enabled: true
"
    );
}

#[test]
fn as_written_it_changes_nothing() {
    let loaded: All = load(&default_file(&schemas()), &[("JWT_SECRET", "long-enough")]).unwrap();
    assert_eq!(format!("{:?}", loaded.0), format!("{:?}", ServerSettings::default()));
}

#[test]
fn with_every_default_switched_on_it_changes_nothing_either() {
    let known: Vec<String> = schemas()
        .iter()
        .flat_map(|schema| &schema.keys)
        .filter_map(|key| {
            Some(format!("# {}: {}", key.name.rsplit('.').next()?, key.default.as_ref()?))
        })
        .collect();
    let uncommented: String = default_file(&schemas())
        .lines()
        .map(|line| match known.iter().any(|setting| line.trim() == setting) {
            true => line.replacen("# ", "", 1) + "\n",
            false => line.to_owned() + "\n",
        })
        .collect();
    assert!(uncommented.contains("\n  port: 8080\n"), "{uncommented}");
    let loaded: All = load(&uncommented, &[("JWT_SECRET", "long-enough")]).unwrap();
    assert_eq!(format!("{:?}", loaded.0), format!("{:?}", ServerSettings::default()));
    assert_eq!(format!("{:?}", loaded.2), format!("{:?}", BreakerSettings::default()));
}

#[test]
fn the_reference_has_a_row_for_every_setting() {
    let text = regatta_config::reference(&[AuthSettings::schema(), BreakerSettings::schema()]);
    assert_eq!(
        text,
        "\
### `auth`

How tokens are verified.

| key | type | default | environment | meaning |
|---|---|---|---|---|
| `auth.secret` | a secret text | required | `AUTH__SECRET`, `JWT_SECRET` | The key. |
| `auth.issuer` | a text | none | `AUTH__ISSUER` | Who issues tokens. |

### `client.breaker`

When the breaker of a client opens.

| key | type | default | environment | meaning |
|---|---|---|---|---|
| `client.breaker.failure_threshold` | a whole number from 0 to 4294967295; 1 to 1000 | `5` | \
         `CLIENT__BREAKER__FAILURE_THRESHOLD` | Failures in a row that open it. |
| `client.breaker.share` | a number | `0.1` | `CLIENT__BREAKER__SHARE` | Share of calls that are \
         let through while half-open. |
| `client.breaker.enabled` | true or false | `true` | `CLIENT__BREAKER__ENABLED` | Whether there \
         is one. |
"
    );
}
