//! A disk that is full for a while: what is refused, and how it goes on.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use regatta_control_plane::{ControlPlane, Settings};
use regatta_proto::etcdserverpb as pb;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::etcd::client::{Client, put, range, text};
use crate::server::LIMIT;

const FOLDER: &str = "REGATTA_TEST_FULL_DISK_FOLDER";
const LISTENING: &str = "listening on ";
/// No file of the store may be larger. A log is ended by a snapshot at 16 MiB, so the first
/// snapshot has room, the second does not, and then the log has none either.
const MOST_BYTES: &str = "20971520";
/// Less than what has to have room before the store is written again: once one of these has none,
/// nothing else has.
const VALUE_BYTES: usize = 48 << 10;

/// Not a test of its own: what runs on the full disk. Ends at once in an ordinary run.
#[tokio::test]
async fn store_on_a_full_disk() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let control_plane = ControlPlane::bind(settings(Path::new(&folder))).await.unwrap();
    let (etcd, consul) = (control_plane.etcd_addr().unwrap(), control_plane.addr());
    println!("\n{LISTENING}{etcd} {consul}");
    control_plane.run(CancellationToken::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_the_store_goes_on_by_itself_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Process::start(folder.path(), MOST_BYTES);
    let client = Client::connect(&store.etcd).await;
    let lease = pb::LeaseGrantRequest { id: 1, ttl: 60 };
    client.lease.clone().lease_grant(lease).await.unwrap();
    client.put_with("leased", 1).await.unwrap();

    let mut acknowledged = Vec::new();
    let refused = loop {
        match write(&client, acknowledged.len()).await {
            Ok(revision) => acknowledged.push(revision),
            Err(refused) => break refused,
        }
        assert!(acknowledged.len() < 5000, "the disk is never full");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
    assert!(files(folder.path(), "log") > 1, "a snapshot failed before the log did");

    // However often it is tried, each is refused, through both interfaces, and all can be read.
    for number in 0..200 {
        write(&client, acknowledged.len()).await.unwrap_err();
        if number % 20 == 0 {
            let answer = register(&store).await;
            assert_eq!(answer.status(), 500);
            let text = answer.text().await.unwrap();
            assert!(text.contains("check the disk's space"), "{text}");
        }
    }
    check(&client, &acknowledged).await;
    assert_eq!(files(folder.path(), "part"), 0, "what failed takes no room");
    let another = ControlPlane::bind(settings(folder.path())).await;
    assert!(another.is_err(), "the folder is still in use");

    store.give_room();
    regatta_testkit::wait_until("the store is written again", LIMIT, async || {
        let written = write(&client, acknowledged.len()).await;
        acknowledged.extend(written.as_ref().ok());
        written.is_ok()
    })
    .await;
    assert_eq!(register(&store).await.status(), 200);
    for _ in 0..5 {
        acknowledged.push(write(&client, acknowledged.len()).await.unwrap());
    }
    check(&client, &acknowledged).await;
    store.end();

    let mut again = Process::start(folder.path(), "unlimited");
    let client = Client::connect(&again.etcd).await;
    check(&client, &acknowledged).await;
    again.end();
}

fn settings(folder: &Path) -> Settings {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = Settings::default();
    settings.consul_listen = free;
    settings.etcd.listen = Some(free);
    settings.data_dir = folder.into();
    settings
}

/// Puts a key of its own; the revision.
async fn write(client: &Client, number: usize) -> Result<i64, Status> {
    let value = "v".repeat(VALUE_BYTES);
    let put = put(&format!("disk/{number:04}"), &value);
    let answer = client.kv.clone().put(put).await?;
    Ok(answer.into_inner().header.unwrap().revision)
}

async fn register(store: &Process) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/agent/service/register", store.consul);
    client.put(url).body(r#"{"name":"shop","port":80}"#).send().await.unwrap()
}

/// What was acknowledged is there, at its revision, and nothing else is.
async fn check(client: &Client, acknowledged: &[i64]) {
    let keys_only = pb::RangeRequest { keys_only: true, ..range("disk/", "disk0") };
    let found = client.range(keys_only).await.kvs;
    let found: Vec<_> = found.iter().map(|kv| (text(&kv.key), kv.mod_revision)).collect();
    let wanted = acknowledged.iter().enumerate();
    let wanted: Vec<_> =
        wanted.map(|(number, revision)| (format!("disk/{number:04}"), *revision)).collect();
    assert_eq!(found, wanted);
    assert_eq!(client.get("leased").await.as_deref(), Some("leased"));
}

fn files(data: &Path, extension: &str) -> usize {
    let files = std::fs::read_dir(data.join("kv")).unwrap();
    let names = files.map(|file| PathBuf::from(file.unwrap().file_name()));
    names.filter(|name| name.extension().is_some_and(|found| found == extension)).count()
}

/// `store_on_a_full_disk` in a process of its own.
struct Process {
    child: Child,
    etcd: String,
    consul: String,
}

impl Process {
    fn start(folder: &Path, most_bytes: &str) -> Self {
        // Ignored, the signal of a file that is too large leaves the error of the write.
        let limited = format!("trap '' XFSZ; exec prlimit --fsize={most_bytes}: -- \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &limited, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "full_disk::store_on_a_full_disk", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addresses = lines
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix(LISTENING).map(str::to_owned))
            .expect("the process says where it listens");
        let (etcd, consul) = addresses.split_once(' ').unwrap();
        Self { child, etcd: etcd.to_owned(), consul: consul.to_owned() }
    }

    fn give_room(&self) {
        let pid = self.child.id().to_string();
        let done = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
        assert!(done.unwrap().success());
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
