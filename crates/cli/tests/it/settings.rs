//! Verbs of the config center, with instances that only say what they run.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use regatta_config::center::{ConfigCenter, Expected, Item, Query, RefusedRevision, Report};
use regatta_config::release::{Release, Rollout};
use regatta_config_etcd::{EtcdCenter, Options};
use tokio::runtime::Runtime;

use crate::plane::Plane;
use crate::shop::{REGATTA, Run, run, until};

/// A config center, and the program that asks it.
struct Center {
    port: EtcdCenter,
    runtime: Runtime,
    at: SocketAddr,
    _plane: Plane,
    folder: tempfile::TempDir,
}

/// What an instance that refuses nothing runs: whatever is written.
const ALL: u64 = u64::MAX;

impl Center {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plane = Plane::start(&folder.path().join("store"), &[]);
        let runtime = Runtime::new().unwrap();
        let within = runtime.enter();
        let url = format!("http://{}", plane.etcd);
        let port = EtcdCenter::try_new(&url, Options::default()).unwrap();
        drop(within);
        Self { port, runtime, at: plane.etcd, _plane: plane, folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(REGATTA);
        command.arg("config").args(arguments).current_dir(self.folder.path());
        command.env("ETCDCTL_ENDPOINTS", format!("http://{}", self.at));
        command
    }

    /// Runs a verb of `regatta config` to its end.
    fn config(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// Begins a verb that goes on.
    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.env_remove("REGATTA_DATA_DIR").env_remove("REGATTA_MANIFEST");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn get(&self, key: &str) -> Option<Item> {
        self.runtime.block_on(self.port.get(key)).unwrap()
    }

    /// An instance of `pay` says this of itself.
    fn report(&self, instance: &str, report: Report) {
        let (service, instance) = ("pay".to_owned(), instance.to_owned());
        let key = format!("/config/_reports/pay/{instance}");
        let report = Report { service, instance, ready: true, ..report }.to_text();
        self.runtime.block_on(self.port.set(&key, &report, Expected::Any)).unwrap();
    }

    fn rollout(&self) -> Option<Rollout> {
        Rollout::parse(&self.get("/config/pay/_rollout")?.value)
    }

    fn release(&self) -> Release {
        let query = Query::prefix("/config/_releases/");
        let all = self.runtime.block_on(self.port.list(&query)).unwrap();
        Release::parse(&all.items[0].value).unwrap()
    }
}

fn end(verb: Child) -> (i32, String) {
    let output = verb.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

/// `set` answered that all had taken it over, and the end of the release wrote over it.
#[test]
fn what_is_set_while_a_release_is_under_way_is_refused_or_stops_it() {
    let center = Center::start();
    center.report("pay-1", Report { revision: ALL, ..Report::default() });
    // Long, since nothing follows the release before it is stopped.
    let patient = ["--window", "200ms", "--accept-within", "10m", "--stages", "1,100%"];
    let start = ["release", "start", "pay", "client.tries=4"];
    let verb = center.begin(&[&start[..], &patient].concat());
    until("the release has begun", || center.rollout().is_some());
    let id = center.rollout().unwrap().release;

    for refused in [&["set", "pay", "client.tries", "7"][..], &["set", "pay", "client.tries", ""]] {
        let refused = center.config(refused);
        assert_eq!(refused.code, 1, "{}", refused.out);
        assert!(refused.err.contains(&id) && refused.err.contains("--force"), "{}", refused.err);
    }
    assert_eq!(center.get("/config/pay/client.tries"), None);
    assert_eq!(center.config(&["set", "pay", "client.timeout", "2s"]).code, 0, "not its setting");
    let forced = ["set", "pay", "client.tries", "7", "--by", "ada", "--force", "--format", "json"];
    let revision = center.config(&forced).json()["revision"].as_u64().unwrap();

    let (code, said) = end(verb);
    let why = format!("has halted: `client.tries` was set to 7 at revision {revision} by ada");
    assert!(code == 1 && said.contains(&why), "{said}");
    let again = center.config(&["release", "continue", &id]);
    assert_eq!(again.code, 1, "{}", again.out);
    assert!(again.err.contains("continue --force"), "{}", again.err);

    let verb = center.begin(&["release", "continue", &id, "--force"]);
    let of_release = Report {
        revision: ALL,
        release: Some(id.clone()),
        rollout: Some(id.clone()),
        ..Report::default()
    };
    center.report("pay-1", of_release);
    assert_eq!(end(verb), (0, String::new()));
    assert_eq!(&*center.get("/config/pay/client.tries").unwrap().value, "4");
    assert_eq!(center.release().before["client.tries"].as_deref(), Some("7"));

    // It said `is done` as if it had worked.
    let over = center.config(&["release", "continue", &id]);
    assert!(over.code == 1 && over.err.contains("is done already"), "{}{}", over.out, over.err);
    assert_eq!(center.config(&["release", "rollback", &id]).code, 0);
    let over = center.config(&["release", "continue", &id]);
    assert!(over.code == 1 && over.err.contains("is rolled back already"), "{}", over.err);
}

#[test]
fn a_change_that_is_for_nobody_is_no_success() {
    let center = Center::start();
    center.report("pay-1", Report { revision: ALL, ..Report::default() });
    let set = |service: &str, more: &[&str]| {
        let run = center.config(&[&["set", service, "client.timeout", "2s"][..], more].concat());
        (run.code, run.err)
    };
    assert_eq!(set("pay", &["--wait", "60s"]), (0, String::new()));
    assert_eq!(set("pay", &["--instance", "pay-1", "--wait", "60s"]), (0, String::new()));

    let (code, said) = set("pey", &["--wait", "200ms"]);
    assert!(code == 1 && said.contains("is written, but no instance of `pey` reports"), "{said}");
    let (code, said) = set("pay", &["--instance", "nope", "--wait", "200ms"]);
    assert!(code == 1 && said.contains("no instance `nope` of `pay` reports"), "{said}");
    let (code, said) = set("pey", &[]);
    assert!(code == 0 && said.starts_with("note: ") && said.contains("`pey`"), "{said}");
}

#[test]
fn a_refusal_names_the_way_back_to_what_is_accepted() {
    let center = Center::start();
    let refused = RefusedRevision { revision: ALL, reason: "client.tries: no".to_owned() };
    center.report("pay-1", Report { revision: 1, refused: Some(refused), ..Report::default() });
    for _ in 0..2 {
        let set = center.config(&["set", "pay", "client.tries", "3", "--wait", "60s"]);
        assert_eq!(set.code, 1, "{}", set.out);
        assert!(set.err.contains("`regatta config rollback pay --to 1`"), "{}", set.err);
    }
}

/// The past before the first revision was taken for the present.
#[test]
fn a_revision_is_1_or_more() {
    let center = Center::start();
    for arguments in [
        &["rollback", "pay", "--to", "0"][..],
        &["list", "pay", "--at", "0"],
        &["diff", "pay", "--from", "0"],
        &["diff", "pay", "pey", "--to", "0"],
    ] {
        let run = center.config(arguments);
        assert!(run.code == 2 && run.err.contains("0 is not in 1.."), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn an_empty_value_is_noted() {
    let center = Center::start();
    center.report("pay-1", Report { revision: ALL, ..Report::default() });
    let set = center.config(&["set", "pay", "client.timeout", ""]);
    assert_eq!(set.code, 0, "{}", set.err);
    let remedy = "`regatta config delete pay client.timeout`";
    assert!(set.err.starts_with("note: ") && set.err.contains(remedy), "{}", set.err);
}

#[test]
fn that_nothing_listens_is_said_plainly() {
    let center = Center::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let get =
        center.config(&["get", "pay", "client.tries", "--endpoint", &format!("http://{free}")]);
    assert_eq!(get.code, 1, "{}", get.out);
    assert!(get.err.contains("nothing listens at this address"), "{}", get.err);
    assert!(!get.err.contains("tonic") && !get.err.contains("Os {"), "{}", get.err);
}
