//! The `regatta` command around a running system.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regatta_e2e::{Caller, System};
use serde_json::Value;

#[test]
fn ps_names_every_part_with_its_state() {
    let system = System::start().unwrap();
    let table = system.stdout(&["ps"]).unwrap();
    let json: Value =
        serde_json::from_str(&system.stdout(&["ps", "--format", "json"]).unwrap()).unwrap();
    assert!(json.is_object() || json.is_array());
    for part in system.parts().unwrap() {
        assert_eq!(part.state, "ready", "{part:?}");
        assert!(table.contains(&part.name) && table.contains(&part.url), "{table}");
        assert!(json.to_string().contains(&part.name), "{json}");
    }
}

#[test]
fn a_second_up_is_refused_and_harms_nothing() {
    let system = System::start().unwrap();
    let second = system.run(&["up", "--isolated", "--detach"]).unwrap();
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("runs already"), "{message}");
    assert!(message.contains("regatta down"), "{message}");
    assert!(system.parts().unwrap().iter().all(|part| part.state == "ready"));
}

#[test]
fn down_leaves_nothing_running() {
    let system = System::start().unwrap();
    let processes = system.processes().unwrap();
    assert_eq!(processes.len(), 5, "control plane, gateway and three services");
    system.stdout(&["down"]).unwrap();
    for pid in processes {
        assert!(kill(Pid::from_raw(pid), None).is_err(), "{pid} still runs");
    }
}

#[tokio::test]
async fn a_killed_supervisor_leaves_nothing_running() {
    let system = System::start().unwrap();
    let processes = system.processes().unwrap();
    let state = std::fs::read(system.folder().join(".regatta/state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let supervisor = i32::try_from(state["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    for pid in processes {
        for _ in 0..200 {
            if kill(Pid::from_raw(pid), None).is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(kill(Pid::from_raw(pid), None).is_err(), "{pid} still runs");
    }
    // And the next `up` finds nothing in its way.
    system.stdout(&["up", "--isolated", "--detach"]).unwrap();
}

#[tokio::test]
async fn data_outlives_down_and_up() {
    let system = System::start().unwrap();
    let user = serde_json::json!({"name": "Ada", "email": "ada@example.com"});
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    assert_eq!(caller.post("/user-service/users", &user).await.unwrap().status, 201);
    system.stdout(&["down"]).unwrap();
    system.stdout(&["up", "--isolated", "--detach"]).unwrap();
    let caller = Caller::new(&system.url("gateway").unwrap()).unwrap();
    assert_eq!(caller.post("/user-service/users", &user).await.unwrap().status, 409);
}

#[tokio::test]
async fn logs_and_effective_settings_are_shown() {
    let system = System::start().unwrap();
    let logs = system.stdout(&["logs", "user-service"]).unwrap();
    assert!(!logs.is_empty());
    // The services of this system are run by `command`, and such a program is not started to show
    // its settings: it could be anything.
    let refused = system.run(&["config", "show", "user-service"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("admin address"), "{message}");
    let admin = Caller::new(&system.part("user-service").unwrap().admin_url.unwrap()).unwrap();
    let settings = admin.get("/config").await.unwrap().json().to_string();
    assert!(settings.contains("server.port"), "{settings}");
    let secret = std::fs::read_to_string(system.folder().join(".regatta/secrets/jwt-hs256"));
    assert!(!settings.contains(secret.unwrap().trim()), "the secret is shown");
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let system = System::start().unwrap();
    system.stdout(&["down"]).unwrap();
    let manifest = system.folder().join("regatta.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("127.0.0.1:8080", &address)).unwrap();
    let output = system.run(&["up", "--detach"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    let port = taken.local_addr().unwrap().port();
    assert!(message.contains(&format!("port `{port}`")), "{message}");
    assert!(message.contains("--isolated"), "{message}");
}
