//! Two clients in Python, unmodified, against both servers.

use std::path::Path;
use std::process::Command;

use regatta_testkit::python;

use super::Target;

const SCRIPTS: [&str; 2] = ["registry.py", "keys.py"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_consul_works_with_the_control_plane() {
    let (_server, target) = super::embedded().await;
    run("python-consul", &target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_consul_works_with_a_real_consul() {
    let (_server, target) = super::real().await;
    run("python-consul", &target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn py_consul_works_with_the_control_plane() {
    let (_server, target) = super::embedded().await;
    run("py-consul", &target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn py_consul_works_with_a_real_consul() {
    let (_server, target) = super::real().await;
    run("py-consul", &target);
}

/// Runs every script of `tests/clients` with this client; each ends with an error when anything is
/// wrong.
fn run(client: &str, target: &Target) {
    let interpreter = python(client).unwrap_or_else(|error| panic!("{error}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let (host, port) = target.address.rsplit_once(':').unwrap();
    for script in SCRIPTS {
        let mut command = Command::new(&interpreter);
        command.arg(folder.join(script)).args([host, port, &target.node]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("all as expected"), "{said}");
    }
}
