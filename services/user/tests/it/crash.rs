//! The real program, killed while it writes.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use regatta_proto::userservice::user_service_client::UserServiceClient;
use regatta_proto::userservice::{CreateUserRequest, GetUserRequest};
use regatta_testkit::{Process, free_port, wait_until};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::running::SECRET;

const LIMIT: Duration = Duration::from_secs(60);
const WRITERS: usize = 8;
const KILLS: usize = 3;
/// Writes that are acknowledged before each kill.
const WRITES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn every_user_that_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let mut program = start(&folder, port);
        wait_until("the service", LIMIT, async || reads(&url, 1).await.is_some()).await;
        acknowledged.extend(write_until_killed(&url, round, &mut program).await);
    }
    assert!(acknowledged.len() >= KILLS * WRITES, "{}", acknowledged.len());

    let _program = start(&folder, port);
    wait_until("the service", LIMIT, async || reads(&url, 1).await.is_some()).await;
    for (id, email) in &acknowledged {
        assert_eq!(reads(&url, *id).await.unwrap().as_ref(), Some(email), "user {id} is lost");
    }
}

/// Writers write as fast as they can; the program is killed in the middle of it.
async fn write_until_killed(url: &str, round: usize, program: &mut Process) -> Vec<(i32, String)> {
    let count = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (url, count, is_over) = (url.to_owned(), count.clone(), is_over.clone());
        writers.spawn(async move {
            let mut client = UserServiceClient::connect(url).await.unwrap();
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let email = format!("u{round}.{writer}.{number}@example.org");
                let request = CreateUserRequest { name: "Ada".into(), email: email.clone() };
                match client.create_user(request).await {
                    Ok(created) => acknowledged.push((created.into_inner().user_id, email)),
                    Err(_) if is_over.load(Ordering::SeqCst) => break,
                    Err(status) => panic!("refused before the kill: {status}"),
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
            acknowledged
        });
    }
    wait_until("writes", LIMIT, async || count.load(Ordering::SeqCst) >= WRITES).await;
    is_over.store(true, Ordering::SeqCst);
    program.kill();
    writers.join_all().await.into_iter().flatten().collect()
}

fn start(folder: &TempDir, port: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_user-service"));
    command.env_clear().current_dir(folder.path());
    command.env("HOST", "127.0.0.1").env("PORT", port.to_string());
    command.env("DATABASE_URL", format!("sqlite://{}/users.db", folder.path().display()));
    command.env("CONSUL_HTTP_ADDR", "none").env("AUTH__SECRET", SECRET);
    Process::spawn(command).unwrap()
}

/// The address of the user, none when there is no such user; none at all without an answer.
async fn reads(url: &str, user_id: i32) -> Option<Option<String>> {
    let mut client = UserServiceClient::connect(url.to_owned()).await.ok()?;
    match client.get_user(GetUserRequest { user_id }).await {
        Ok(user) => Some(Some(user.into_inner().email)),
        Err(status) if status.code() == tonic::Code::NotFound => Some(None),
        Err(_) => None,
    }
}
