//! Cargo services: built first, errors shown whole.

use std::path::Path;

use regatta_supervisor::{Error, Event, Part, Profile, Run, Settings};

use crate::fixture::{Running, get, part_that, settings};

const SERVES: &str = r#"
use std::io::{Read, Write};
fn main() {
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    for stream in std::net::TcpListener::bind(("127.0.0.1", port)).unwrap().incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}
"#;

#[tokio::test]
async fn a_cargo_service_is_built_and_started() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), SERVES);
    let mut running = Running::start(cargo(folder.path(), "shop-user"));
    let seconds = running.until(|event| match event {
        Event::Built { seconds } => Some(seconds),
        Event::Failed { message, detail } => panic!("{message}: {detail:?}"),
        _ => None,
    });
    assert!(seconds.await > 0.0);
    let state = running.until_running().await;
    assert_eq!(get(&state.parts[0].url, "/").await, 200);
    running.stopped().await.unwrap();
}

#[tokio::test]
async fn errors_of_the_compiler_are_shown_whole() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), "fn main() { let port: u16 = \"x\"; }");
    let error = Running::start(cargo(folder.path(), "shop-user")).outcome().await.unwrap_err();
    let text = error.to_string();
    assert_eq!(text, "building `shop-user` failed; mend the errors above and run it again");
    let detail = error.detail().join("\n");
    assert!(detail.contains("error[E0308]: mismatched types"), "{detail}");
    assert!(detail.contains("src/main.rs:1:"), "{detail}");
}

#[tokio::test]
async fn a_package_that_does_not_exist_is_an_error_of_cargo() {
    let folder = tempfile::tempdir().unwrap();
    package(folder.path(), SERVES);
    let error = Running::start(cargo(folder.path(), "nobody")).outcome().await.unwrap_err();
    assert!(matches!(error, Error::Build(_)), "{error}");
    let detail = error.detail().join("\n");
    assert!(detail.contains("`nobody`"), "{detail}");
}

fn cargo(folder: &Path, package: &str) -> Settings {
    let mut part: Part = part_that("user", "serve");
    part.run = Run::Cargo { package: package.to_owned() };
    let mut settings = settings(folder, vec![part]);
    settings.profile = Profile::named("dev");
    settings
}

/// A package with one program and no dependencies.
fn package(folder: &Path, main: &str) {
    let manifest = "[package]\nname = \"shop-user\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [workspace]\n";
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.join("src")).unwrap();
    std::fs::write(folder.join("src/main.rs"), main).unwrap();
}
