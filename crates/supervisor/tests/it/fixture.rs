//! Small processes to supervise: this test binary, run again as a part.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use regatta_manifest::Health;
use regatta_supervisor::{
    Error, Event, Kind, Layout, Part, PartState, PartStatus, Plan, Port, Run, Settings, State,
    Supervisor,
};
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long anything in these tests may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// What a part does, handed down as a variable.
const ROLE: &str = "FIXTURE_ROLE";

/// Not a test: what a part executes. Without the variable it does nothing.
#[test]
fn part() {
    match std::env::var(ROLE).as_deref() {
        Ok("serve") => serve(200),
        Ok("never-ready") => serve(503),
        Ok("fail") => {
            eprintln!("the cause of the trouble");
            std::process::exit(3);
        }
        // Serves the first time and fails to start ever after.
        Ok("serve-once") => {
            let mark = std::env::var("FIXTURE_MARK").unwrap();
            match std::fs::File::create_new(mark) {
                Ok(_) => serve(200),
                Err(_) => std::process::exit(4),
            }
        }
        Ok("with-child") => {
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            println!("child {}", child.id());
            serve(200);
            child.wait().unwrap();
        }
        Ok("deaf") => {
            // The shell ignores the signal, and what it executes in its own place inherits that.
            let own = std::env::current_exe().unwrap().display().to_string();
            let script =
                format!("trap '' TERM; {ROLE}=serve exec {own} --exact fixture::part --nocapture");
            let mut shell = std::process::Command::new("/bin/sh");
            panic!("{}", std::os::unix::process::CommandExt::exec(shell.args(["-c", &script])));
        }
        Ok("supervise") => supervise(),
        _ => {}
    }
}

/// Answers every request with this status; `/die` ends the process, `/sick` makes it unready.
fn serve(status: u16) {
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let socket = TcpListener::bind(("127.0.0.1", port)).unwrap();
    println!("listening, pid {}", std::process::id());
    let mut status = status;
    for stream in socket.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        let count = stream.read(&mut request).unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..count]).into_owned();
        if request.starts_with("GET /die") {
            println!("dying");
            std::process::exit(7);
        }
        if request.starts_with("GET /sick") {
            status = 503;
        }
        let answer =
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _gone = stream.write_all(answer.as_bytes());
    }
}

/// Supervises two parts, one of them with a child, until it is killed.
fn supervise() {
    let folder = std::env::var("FIXTURE_FOLDER").unwrap();
    let parts = vec![part_that("a", "serve"), part_that("b", "with-child")];
    let settings = settings(Path::new(&folder), parts);
    let run = async {
        let supervisor = Supervisor::try_new(settings).unwrap();
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        supervisor.run(stop, hurry).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(run);
}

/// A part that runs this test binary in a role.
pub(crate) fn part_that(name: &str, role: &str) -> Part {
    let program = std::env::current_exe().unwrap().display().to_string();
    let arguments = ["--exact", "fixture::part", "--nocapture"].map(str::to_owned).to_vec();
    Part {
        name: name.to_owned(),
        service: name.to_owned(),
        kind: Kind::Service,
        run: Run::Command { program, arguments },
        version: None,
        needs: Vec::new(),
        host: "127.0.0.1".to_owned(),
        port: Port::Free,
        admin: None,
        etcd: None,
        dns: None,
        tls: false,
        health: Health::of_chassis(),
        register: false,
        is_listed: true,
        database: false,
        environment: BTreeMap::from([(ROLE.to_owned(), role.to_owned())]),
    }
}

/// Settings for a system in this folder.
pub(crate) fn settings(folder: &Path, parts: Vec<Part>) -> Settings {
    let plan = Plan {
        name: "test".to_owned(),
        manifest: folder.join("regatta.yaml"),
        issuer: None,
        audience: None,
        keys: None,
        trusts_secret: true,
        registry_ca: None,
        isolated: true,
        weights: BTreeMap::new(),
        parts,
    };
    let mut settings = Settings::new(plan, "/bin/false".into());
    settings.backoff.base = Duration::from_millis(20);
    settings
}

/// A supervisor at work.
pub(crate) struct Running {
    pub(crate) layout: Layout,
    pub(crate) stop: CancellationToken,
    pub(crate) hurry: CancellationToken,
    events: Receiver<Event>,
    outcome: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Starts a supervisor; does not wait for its parts.
    pub(crate) fn start(settings: Settings) -> Self {
        let layout = Layout::beside(&settings.plan.manifest);
        let supervisor = Supervisor::try_new(settings).unwrap();
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let events = supervisor.events();
        let outcome = TaskTracker::new().spawn(supervisor.run(stop.clone(), hurry.clone()));
        Self { layout, stop, hurry, events, outcome }
    }

    /// The next event that the closure takes.
    pub(crate) async fn until<T>(&mut self, mut take: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if let Some(found) = take(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the event comes in time")
    }

    /// Waits until all parts are ready.
    pub(crate) async fn until_running(&mut self) -> State {
        self.until(|event| match event {
            Event::Running(state) => Some(state),
            Event::Failed { message, detail } => panic!("{message}: {detail:?}"),
            _ => None,
        })
        .await
    }

    /// Waits until a part is in a state.
    pub(crate) async fn until_part(&mut self, name: &str, state: PartState) -> PartStatus {
        self.until(|event| match event {
            Event::Part(part) if part.name == name && part.state == state => Some(part),
            _ => None,
        })
        .await
    }

    /// Stops it and gives what the run returned.
    pub(crate) async fn stopped(self) -> Result<(), Error> {
        self.stop.cancel();
        self.outcome().await
    }

    /// Waits for its end and gives what the run returned.
    pub(crate) async fn outcome(self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.outcome).await.expect("ends in time").unwrap()
    }
}

/// Sends a request to a part and gives the status; 0 when it does not answer.
pub(crate) async fn get(url: &str, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = url.strip_prefix("http://").unwrap();
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return 0 };
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let _gone = stream.write_all(request.as_bytes()).await;
    let mut text = String::new();
    let _reset = stream.read_to_string(&mut text).await;
    text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Whether a process of this pid runs.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("in time: {what}"));
}
