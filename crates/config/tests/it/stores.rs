//! The URLs of the database and of Redis (row R3 of the source design).

use super::*;

#[test]
fn the_defaults_are_those_of_the_source_design() {
    let config = config("", &[]);
    let url = config.database_url().unwrap();
    assert_eq!(url.expose(), "postgres://postgres@localhost:5432/app");
    assert_eq!(config.redis_url().unwrap().expose(), "redis://localhost:6379");
}

#[test]
fn parts_come_from_the_file_and_from_variables() {
    let yaml = "database: {host: db, user: app, password: \"p@ss/word\"}\nredis: {port: 7000}\n";
    let config = config(yaml, &[("DATABASE__PORT", "6000"), ("REDIS__HOST", "cache")]);
    let url = config.database_url().unwrap();
    assert_eq!(url.expose(), "postgres://app:p%40ss%2Fword@db:6000/app");
    assert_eq!(config.redis_url().unwrap().expose(), "redis://cache:7000");
}

#[test]
fn a_whole_url_wins_over_the_parts() {
    let yaml = "database: {host: db, url: \"sqlite://a.db\"}\n";
    assert_eq!(config(yaml, &[]).database_url().unwrap().expose(), "sqlite://a.db");
    let config = config(yaml, &[("DATABASE_URL", "sqlite://b.db"), ("REDIS_URL", "redis://r")]);
    assert_eq!(config.database_url().unwrap().expose(), "sqlite://b.db");
    assert_eq!(config.redis_url().unwrap().expose(), "redis://r");
}

#[test]
fn a_wrong_part_is_reported() {
    let error = config("", &[("DATABASE__PORT", "none")]).database_url().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("environment variable DATABASE__PORT: database.port"), "{text}");
    assert!(config("redis: {port: 0}", &[]).redis_url().is_err());
}
