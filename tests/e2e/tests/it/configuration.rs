//! Settings that change while the system runs, and changes that go out in stages.

use std::process::{Command, Stdio};
use std::time::Duration;

use regatta_e2e::{Caller, Program, System, Traffic};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KEY: &str = "client.timeout";

/// Long on a busy machine: an instance needs milliseconds.
const WAIT: [&str; 2] = ["--wait", "60s"];

#[test]
fn a_setting_is_changed_refused_rolled_back_and_its_history_is_told() {
    let system = replicated(2);
    let set = |value: &str| {
        let arguments = ["config", "set", "user-service", KEY, value, "--why", "slow bank"];
        let output = system.run(&[&arguments[..], &WAIT, &["--format", "json"]].concat()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, first, _) = set("3s");
    assert_eq!(code, Some(0));
    let first = json(&first)["revision"].as_u64().unwrap();
    for instance in instances(&system) {
        assert!(instance["revision"].as_u64().unwrap() >= first, "{instance}");
        assert_eq!(instance["refused"], Value::Null);
    }
    assert_eq!(system.stdout(&["config", "get", "user-service", KEY]).unwrap(), "3s");

    let (code, _, refused) = set("soon");
    assert_eq!(code, Some(1));
    assert!(
        refused.contains("is refused") && refused.contains("a duration such as 30s"),
        "{refused}"
    );
    let refusing = instances(&system);
    assert!(refusing.iter().all(|it| !it["refused"].is_null()), "{refusing:?}");

    let to = first.to_string();
    let rollback = ["config", "rollback", "user-service", "--to", &to];
    system.stdout(&[&rollback[..], &WAIT].concat()).unwrap();
    assert_eq!(system.stdout(&["config", "get", "user-service", KEY]).unwrap(), "3s");
    assert!(instances(&system).iter().all(|it| it["refused"].is_null()));

    let differs = ["config", "diff", "user-service", "payment-service", "--format", "json"];
    let differs = json(&system.stdout(&differs).unwrap());
    assert_eq!(differs[0]["key"], KEY);
    assert_eq!((&differs[0]["before"], &differs[0]["after"]), (&Value::from("3s"), &Value::Null));

    system.stdout(&[&["config", "delete", "user-service", KEY][..], &WAIT].concat()).unwrap();
    let absent = system.run(&["config", "get", "user-service", KEY]).unwrap();
    assert_eq!(absent.status.code(), Some(1));

    let history = ["config", "history", "user-service", "--format", "json"];
    let history = json(&system.stdout(&history).unwrap());
    let told: Vec<_> = history["changes"].as_array().unwrap().iter().collect();
    let values: Vec<_> = told.iter().map(|it| it["value"].as_str()).collect();
    assert_eq!(values, [Some("3s"), Some("soon"), Some("3s"), None]);
    assert_eq!(told[0]["why"], "slow bank");
    assert!(told.iter().all(|it| !it["by"].as_str().unwrap().is_empty()), "{history}");
    assert_eq!(told[2]["action"], format!("rollback to {first}"));
}

#[test]
fn a_release_halts_at_the_first_instance_that_refuses_and_is_taken_back_by_one_verb() {
    let system = replicated(3);
    let output = system.run(&release(&["client.timeout=never"])).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("has halted") && said.contains("refuses it"), "{said}");
    let halted = only_release(&system);
    assert_eq!((&halted["state"], &halted["stage"]), (&Value::from("halted"), &Value::from(1)));
    assert!(halted["instances"].as_array().unwrap().is_empty(), "the one that refuses is let go");
    until("nobody refuses any more", || {
        instances(&system).iter().all(|it| it["refused"].is_null())
    });
    let other = ["config", "set", "user-service", "client.tries", "2"];
    system.stdout(&[&other[..], &WAIT].concat()).unwrap();

    let again = system.run(&release(&["client.tries=1"])).unwrap();
    assert!(text(&again.stderr).contains("another release under way"));

    let id = halted["id"].as_str().unwrap();
    system.stdout(&["config", "release", "rollback", id]).unwrap();
    assert_eq!(only_release(&system)["state"], "rolled-back");
}

#[test]
fn a_release_survives_the_death_of_its_verb_and_goes_on_to_all() {
    let system = replicated(3);
    let mut command = Command::new(Program::Regatta.path().unwrap());
    command.args(release(&["client.timeout=3s", "--window", "4s"])).current_dir(system.folder());
    let mut verb = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the first instance has it", || {
        instances(&system).iter().filter(|it| !it["release"].is_null()).count() == 1
    });
    verb.kill().unwrap();
    verb.wait().unwrap();
    let stands = only_release(&system);
    assert_eq!((&stands["state"], &stands["stage"]), (&Value::from("staging"), &Value::from(1)));
    assert!(system.run(&["config", "get", "user-service", KEY]).unwrap().status.code() == Some(1));

    let id = stands["id"].as_str().unwrap();
    let said = system.stdout(&["config", "release", "continue", id]).unwrap();
    assert!(said.contains("stage 3 of 3: all instances") && said.contains("is done"), "{said}");
    assert_eq!(system.stdout(&["config", "get", "user-service", KEY]).unwrap(), "3s");
    until("it is an ordinary setting", || {
        instances(&system).iter().all(|it| it["release"].is_null() && it["refused"].is_null())
    });
    system.stdout(&["config", "release", "rollback", id]).unwrap();
    assert!(system.run(&["config", "get", "user-service", KEY]).unwrap().status.code() == Some(1));
}

/// A stage that did harm stayed for ever when its verb was gone.
#[test]
fn a_release_that_nobody_drives_is_left_by_its_instances_and_begins_anew() {
    let system = replicated(3);
    let mut command = Command::new(Program::Regatta.path().unwrap());
    let arguments = release(&["client.timeout=3s", "--window", "4s", "--hold", "2s"]);
    command.args(arguments).current_dir(system.folder());
    let mut verb = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let reached = || instances(&system).iter().filter(|it| !it["release"].is_null()).count();
    until("the first instance has it", || reached() == 1);
    verb.kill().unwrap();
    verb.wait().unwrap();
    until("nobody has it", || reached() == 0);

    let first = only_release(&system)["id"].as_str().unwrap().to_owned();
    let other = system.stdout(&release(&["client.tries=1"])).unwrap();
    assert!(other.contains("is done"), "{other}");
    let all = json(&system.stdout(&["config", "releases", "--format", "json"]).unwrap());
    assert_eq!((&all[0]["state"], &all[1]["state"]), (&"halted".into(), &"done".into()), "{all}");
    let said = system.stdout(&["config", "release", "continue", &first]).unwrap();
    assert!(said.contains("resumed") && said.contains("is done"), "{said}");
    assert_eq!(system.stdout(&["config", "get", "user-service", KEY]).unwrap(), "3s");
}

// More threads than one: the verb is waited for while the traffic goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_makes_requests_fail_takes_itself_back() {
    let system = replicated(3);
    let first = system.instances("user-service").unwrap().remove(0);
    let caller = Caller::new(&first.url).unwrap();
    let caller = caller.with_token(&system.token("1", &["user"]).unwrap());
    let traffic = Traffic::start(16, Duration::from_millis(1), move |_| {
        let caller = caller.clone();
        async move { caller.get("/users/1").await }
    });
    traffic.more(50).await.unwrap();
    // One request at a time, and one that has no end: all others are turned away.
    let mut holding = tokio::task::JoinSet::new();
    let address = first.url.trim_start_matches("http://").to_owned();
    holding.spawn(async move {
        loop {
            _ = hold(&address).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let arguments =
        release(&["shed.limit=1", "shed.queue=0", "--window", "60s", "--auto-rollback"]);
    let output = system.run(&arguments).unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("is rolled back") && said.contains("requests fail"), "{said}");
    until("the instance has the settings from before", || {
        instances(&system).iter().all(|it| it["release"].is_null())
    });
    drop(traffic.stop().await);
}

/// Sends a request whose body does not come, and waits for its end.
async fn hold(address: &str) -> std::io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let head = "POST /users HTTP/1.1\r\nHost: user-service\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// The arguments of a release of these changes, with short windows.
fn release<'a>(changes: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["config", "release", "start", "user-service"];
    if !changes.contains(&"--window") {
        arguments.extend(["--window", "1s"]);
    }
    arguments.extend(changes);
    arguments
}

/// The reference system with several instances of user-service, all of which have reported.
fn replicated(count: usize) -> System {
    let system = System::start_changed(|manifest| {
        let manifest = manifest.replace("per_client: 60/min", "per_client: none");
        let many = format!("    database: true\n    replicas: {count}");
        manifest.replacen("    database: true", &many, 1)
    });
    let system = system.unwrap();
    until("all instances report", || instances(&system).len() == count);
    system
}

fn instances(system: &System) -> Vec<Value> {
    let arguments = ["config", "instances", "user-service", "--format", "json"];
    json(&system.stdout(&arguments).unwrap()).as_array().unwrap().clone()
}

fn only_release(system: &System) -> Value {
    let all = json(&system.stdout(&["config", "releases", "--format", "json"]).unwrap());
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    all[0].clone()
}

fn until(what: &str, condition: impl FnMut() -> bool) {
    regatta_testkit::wait_until_blocking(what, Duration::from_secs(60), condition);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
