//! From `regatta up` to the first answer through the gateway, and memory at rest.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::run::run as command;
use crate::workspace;

const ROUNDS: usize = 5;
/// Long enough for what a start allocates to be given back.
const REST: Duration = Duration::from_secs(5);
const LONGEST_START: Duration = Duration::from_secs(60);

/// One figure and the bar of the design that it is held against.
struct Figure {
    what: &'static str,
    ours: f64,
    bar: f64,
    unit: &'static str,
}

/// Measures the reference system in the `release` profile; nothing else of it may be running.
pub(super) fn run(as_json: bool) -> Result<()> {
    command("cargo", &["build", "--quiet", "--release"])?;
    // The first start builds the services.
    regatta(&["up", "--isolated", "--detach"])?;
    let token = regatta(&["token", "--user", "1", "--role", "user"])?;
    regatta(&["down"])?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        seconds.push(first_answer(&token)?.as_secs_f64());
        regatta(&["down"])?;
    }
    seconds.sort_by(f64::total_cmp);
    regatta(&["up", "--isolated", "--detach"])?;
    sleep(REST);
    let memory = memory();
    regatta(&["down"])?;
    let (platform, service) = memory?;
    let bars = [
        Figure {
            what: "up, built, to the first answer through the gateway (median)",
            ours: seconds[ROUNDS / 2],
            bar: 2.0,
            unit: "s",
        },
        Figure {
            what: "memory at rest: supervisor, control plane and gateway (RSS)",
            ours: platform,
            bar: 50.0,
            unit: "MB",
        },
        Figure {
            what: "memory at rest: the largest service (RSS)",
            ours: service,
            bar: 15.0,
            unit: "MB",
        },
    ];
    for Figure { what, ours, bar, unit } in bars {
        let ratio = ours / bar;
        if as_json {
            let figure = json!({
                "what": what, "ours": ours, "peer": "bar of the design", "peer_value": bar,
                "ratio": ratio, "unit": unit,
            });
            println!("{figure}");
        } else {
            println!("{what:<64} {ours:>8.3} {unit:<3} bar {bar:>5} {unit:<3} ratio {ratio:.2}");
        }
    }
    Ok(())
}

/// Starts the system and asks through the gateway until the first answer of 200.
#[expect(clippy::disallowed_methods, reason = "a bench measures the real clock")]
fn first_answer(token: &str) -> Result<Duration> {
    let state = workspace::root().join(".regatta/state.json");
    // What the last round left would name ports that nobody serves.
    let _ = std::fs::remove_file(&state);
    let started = Instant::now();
    let mut up = Command::new(program())
        .args(["up", "--isolated", "--detach"])
        .current_dir(workspace::root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run regatta")?;
    while !answers(&state, token) {
        ensure!(started.elapsed() < LONGEST_START, "no answer within {LONGEST_START:?}");
        sleep(Duration::from_millis(5));
    }
    let took = started.elapsed();
    ensure!(up.wait()?.success(), "`regatta up` failed; run it by hand to see why");
    Ok(took)
}

fn answers(state: &Path, token: &str) -> bool {
    let ask = || -> Option<bool> {
        let state: Value = serde_json::from_slice(&std::fs::read(state).ok()?).ok()?;
        let gateway = state["gateway"].as_str()?.strip_prefix("http://")?.to_owned();
        let mut stream = TcpStream::connect(&gateway).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = format!(
            "GET /user-service/health/ready HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer \
             {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        Some(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Resident megabytes of the platform and of the largest service.
fn memory() -> Result<(f64, f64)> {
    let state = std::fs::read(workspace::root().join(".regatta/state.json"))?;
    let state: Value = serde_json::from_slice(&state)?;
    let mut platform = resident(&state["supervisor"]["pid"])?;
    let mut largest_service = 0.0_f64;
    for part in state["parts"].as_array().context("no parts")? {
        let megabytes = resident(&part["process"]["pid"])?;
        if ["gateway", "control-plane"].iter().any(|name| part["service"] == *name) {
            platform += megabytes;
        } else {
            largest_service = largest_service.max(megabytes);
        }
    }
    Ok((platform, largest_service))
}

fn resident(pid: &Value) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    Ok(kilobytes.context("no VmRSS in /proc")? / 1024.0)
}

fn regatta(arguments: &[&str]) -> Result<String> {
    let output = Command::new(program())
        .args(arguments)
        .current_dir(workspace::root())
        .output()
        .context("cannot run regatta")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`regatta {}` failed: {error}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn program() -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(std::path::PathBuf::from);
    target.unwrap_or_else(|| workspace::root().join("target")).join("release/regatta")
}
