//! A service as a process: signals, exit codes, what it prints.
//!
//! The process is this test binary again, asked to run the one test that serves.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::fixture::{PATIENCE, read_to_end, routes};

/// Set in the environment of the process that serves.
const SERVES: &str = "REGATTA_TEST_SERVES";

/// Set too, the service asks for tokens.
const ASKS_FOR_TOKENS: &str = "REGATTA_TEST_ASKS_FOR_TOKENS";

/// Serves when it is started by one of the tests below, and does nothing otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_serves() {
    if std::env::var_os(SERVES).is_none() {
        return;
    }
    let served = async {
        let service = regatta::Service::new("child-service").await?;
        if std::env::var_os(ASKS_FOR_TOKENS).is_some() {
            service.auth()?;
        }
        service.rest(routes()).run().await
    };
    if let Err(error) = served.await {
        eprintln!("Error: {error:?}");
        std::process::exit(1);
    }
}

fn process(variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process::the_process_that_serves", "--nocapture"]);
    command.env(SERVES, "1").env("PORT", "0").env("REGISTRY__URL", "none");
    command.env("SERVER__LINGER", "0s").env("LOG__FORMAT", "json").envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().unwrap()
}

/// Waits for the line that says where it serves.
async fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it serves");
            let Some(at) = line.find("127.0.0.1:") else { continue };
            let address = &line[at..];
            let end = address.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
            return address[..end.unwrap_or(address.len())].to_owned();
        }
    };
    let address = timeout(PATIENCE, found).await.expect("it says where it serves");
    // Keeps the pipe open and empty: a log that nobody reads would stop the process.
    tokio::task::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    address
}

async fn terminate(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    let mut child = process(&[]);
    let mut stream = TcpStream::connect(address(&mut child).await).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    terminate(&child).await;
    assert!(read_to_end(&mut stream).await.ends_with("slow"));
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_exit_code_1() {
    let mut child = process(&[("SERVER__LINGER", "60s"), ("SERVER__DRAIN_TIMEOUT", "150s")]);
    let address = address(&mut child).await;
    terminate(&child).await;
    let leaving = async {
        loop {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let request = b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            if read_to_end(&mut stream).await.contains("not ready") {
                return;
            }
        }
    };
    timeout(PATIENCE, leaving).await.expect("it leaves");
    terminate(&child).await;
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn it_shows_its_settings_in_place_of_serving() {
    let shown = process(&[("REGATTA_CONFIG_SHOW", "json"), ("PORT", "4711")]);
    let output = timeout(PATIENCE, shown.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find_map(|line| line.find("[{").map(|at| &line[at..]));
    let entries: serde_json::Value = serde_json::from_str(line.expect(&printed)).unwrap();
    let port = entries.as_array().unwrap().iter().find(|entry| entry["key"] == "server.port");
    assert_eq!(port.unwrap()["value"], "4711");

    let wrong = process(&[("REGATTA_CONFIG_SHOW", "json"), ("PORT", "many")]);
    let output = timeout(PATIENCE, wrong.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("server.port"));
}

#[tokio::test]
async fn settings_that_are_wrong_end_it_with_exit_code_2_wherever_they_are_found() {
    for (variables, part) in [
        (&[("PORT", "many")][..], "server.port"),
        (&[("REGISTRY__URL", "zookeeper://a")][..], "registry.url"),
        (&[("LOG__LEVEL", "a=b=c")][..], "log"),
        (&[("OTEL_TRACES_SAMPLER", "jaeger_remote")][..], "OTEL_TRACES_SAMPLER"),
        (&[("CONFIG_PATH", "/nowhere/config.yaml")][..], "/nowhere/config.yaml"),
        (&[("SERVICE__ADVERTISE", "not a host")][..], "service.advertise"),
        (&[(ASKS_FOR_TOKENS, "1")][..], "AUTH__SECRET"),
    ] {
        let output = process(variables).wait_with_output();
        let output = timeout(PATIENCE, output).await.unwrap().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{variables:?}: {printed}");
        assert!(printed.contains(part), "{variables:?}: {printed}");
    }
}

#[tokio::test]
async fn a_taken_port_is_no_matter_of_settings() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = process(&[("PORT", &port)]).wait_with_output();
    assert_eq!(timeout(PATIENCE, output).await.unwrap().unwrap().status.code(), Some(1));
}
