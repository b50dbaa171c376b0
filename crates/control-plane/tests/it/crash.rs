//! Kills the process for real, and counts.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regatta_control_plane::{ControlPlane, Settings};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const FOLDER: &str = "REGATTA_TEST_CONTROL_FOLDER";
const LISTENING: &str = "listening on ";
/// Kills of each test, when the environment does not ask for more.
const KILLS: u64 = 12;

/// How often the server of a test is killed; each kill meets another step of a commit.
pub(crate) fn kills() -> u64 {
    let asked = std::env::var("REGATTA_TEST_KILLS").ok();
    asked.map_or(KILLS, |asked| asked.parse().expect("REGATTA_TEST_KILLS is a number"))
}

/// How long the server of a round works before it is killed: another time in each, so that kills
/// meet different steps of a commit.
pub(crate) fn before_kill(round: u64) -> Duration {
    Duration::from_millis(60 + 37 * round % 512)
}

/// Not a test of its own: what the killed process runs. Ends at once in an ordinary run.
#[tokio::test]
async fn killed_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut settings = Settings::default();
    settings.consul_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.data_dir = folder.into();
    let control_plane = ControlPlane::bind(settings).await.unwrap();
    println!("\n{LISTENING}{}", control_plane.addr());
    control_plane.run(CancellationToken::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_registration_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // Id n is registered with port n, and removed again when n is a multiple of 5.
    let (mut next, mut expected, mut index) = (1, Vec::new(), 0);
    for round in 0..kills() {
        let (mut process, address) = start(folder.path());
        let base = format!("http://{address}/v1");
        let ids = Arc::new(AtomicU64::new(next));
        let tasks = TaskTracker::new();
        let writers: Vec<_> = (0..8)
            .map(|_| tasks.spawn(write(client.clone(), base.clone(), Arc::clone(&ids))))
            .collect();
        tokio::time::sleep(before_kill(round)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        for writer in writers {
            expected.extend(writer.await.unwrap());
        }
        next = ids.load(Ordering::Relaxed);

        let (mut process, address) = start(folder.path());
        let base = format!("http://{address}/v1");
        let services = client.get(format!("{base}/agent/services")).send().await.unwrap();
        let services: serde_json::Value = services.json().await.unwrap();
        for (id, is_there) in &expected {
            let found = services[format!("s{id}")]["Port"].as_u64();
            let wanted = is_there.then_some(*id);
            assert_eq!(found, wanted, "s{id} after round {round}");
        }
        let answer = client.get(format!("{base}/catalog/services")).send().await.unwrap();
        let shown = answer.headers()["x-consul-index"].to_str().unwrap().parse::<u64>().unwrap();
        assert!(shown >= index, "index {shown} after {index}");
        index = shown;
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(
        expected.len() > 100,
        "only {} acknowledged; the test shows too little",
        expected.len()
    );
    println!("{} acknowledged changes survived {} kills", expected.len(), kills());
}

/// Registers and deregisters until the server is gone; what was acknowledged last for each id.
async fn write(client: reqwest::Client, base: String, ids: Arc<AtomicU64>) -> Vec<(u64, bool)> {
    let mut acknowledged = Vec::new();
    loop {
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"name":"s{}","id":"s{id}","port":{id}}}"#, id % 50);
        let call = client.put(format!("{base}/agent/service/register")).body(body).send().await;
        if !call.is_ok_and(|answer| answer.status() == 200) {
            return acknowledged;
        }
        if !id.is_multiple_of(5) {
            acknowledged.push((id, true));
            continue;
        }
        let path = format!("{base}/agent/service/deregister/s{id}");
        if !client.put(path).send().await.is_ok_and(|answer| answer.status() == 200) {
            // Registered for sure, but the removal may have happened or not: no claim.
            return acknowledged;
        }
        acknowledged.push((id, false));
    }
}

/// Runs `killed_process` above in a process of its own.
pub(crate) fn start(folder: &Path) -> (Child, SocketAddr) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::killed_process", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = lines
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix(LISTENING)?.parse().unwrap()))
        .expect("the process says where it listens");
    (process, address)
}
