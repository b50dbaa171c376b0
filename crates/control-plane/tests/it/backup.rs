//! Backups: made while writes go on, restored, refused.

use regatta_control_plane::Secret;
use regatta_control_plane::backup::{Backup, BackupError, restore};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::etcd::client::{Client, watch};
use crate::server::Server;

fn url(server: &Server) -> String {
    format!("http://{}", server.address)
}

/// A server whose data was restored from a file.
async fn restored(file: &std::path::Path) -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (file.to_owned(), folder.path().to_owned());
    tokio::task::spawn_blocking(move || restore(&file, &data)).await.unwrap().unwrap();
    (Server::with_etcd_in(folder.path()).await, folder)
}

/// The mode of a file or folder, and of all that is in it.
fn modes(path: &std::path::Path) -> Vec<(std::path::PathBuf, u32)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let inner = std::fs::read_dir(path).into_iter().flatten();
    let inner = inner.flat_map(|entry| modes(&entry.unwrap().path()));
    std::iter::once((path.to_owned(), mode)).chain(inner).collect()
}

#[tokio::test]
async fn what_is_made_may_be_read_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/data");
    let server = Server::with_etcd_in(&data).await;
    Client::connect(&server.etcd_endpoint()).await.put("key", "secret").await;
    let file = folder.path().join("all.backup");
    // What a killed one left.
    std::fs::write(folder.path().join("all.backup.part"), "left").unwrap();
    Backup::new(url(&server), &file).run().await.unwrap();
    let (from, to) = (file.clone(), folder.path().join("b/data"));
    tokio::task::spawn_blocking(move || restore(&from, &to)).await.unwrap().unwrap();
    let all = ["a", "b", "all.backup"].map(|name| modes(&folder.path().join(name))).concat();
    assert!(all.len() >= 9, "{all:?}");
    for (path, mode) in all {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has mode {mode:o}", path.display());
    }
}

#[tokio::test]
async fn who_is_no_control_plane_of_regatta_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.backup");
    let error = Backup::new("127.0.0.1:8500", &file).run().await.unwrap_err();
    assert!(error.to_string().ends_with("write http://HOST:PORT"), "{error}");
    let server = Server::start().await;
    // Another path than the one that has it is a server without it.
    let error = Backup::new(format!("{}/v1", url(&server)), &file).run().await.unwrap_err();
    assert!(matches!(error, BackupError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("is no control plane of Regatta"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_during_writes_has_all_that_was_acknowledged_before() {
    let server = crate::etcd::server().await;
    let client = Client::connect(&server.etcd_endpoint()).await;
    for number in 0..200 {
        client.put(&format!("key/{number}"), &"x".repeat(1000)).await;
    }
    client.delete("key/7", "").await;
    let before = client.revision().await;
    let writing = TaskTracker::new();
    let writer = writing.spawn({
        let client = client.clone();
        async move {
            for number in 0..100 {
                client.put("later", &number.to_string()).await;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.backup");
    let made = Backup::new(url(&server), &file).run().await.unwrap();
    assert_eq!(made.bytes, std::fs::metadata(&file).unwrap().len());
    writer.await.unwrap();

    let (again, _data) = restored(&file).await;
    let copy = Client::connect(&again.etcd_endpoint()).await;
    let revision = copy.revision().await;
    assert!(revision >= before, "{revision} after {before}");
    assert_eq!(copy.get("key/8").await, client.get("key/8").await);
    assert_eq!(copy.get("key/7").await, None);
    // History is there, too, and goes on where it was.
    let from = regatta_proto::etcdserverpb::WatchCreateRequest {
        start_revision: before,
        ..watch("key/", "key0")
    };
    assert_eq!(copy.watch(from).await.events(1).await, ["-key/7"]);
    assert_eq!(copy.put("new", "1").await, revision + 1);
}

#[tokio::test]
async fn nothing_is_overwritten_and_what_is_not_whole_is_not_restored() {
    let server = crate::etcd::server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.backup");
    Backup::new(url(&server), &file).run().await.unwrap();
    let again = Backup::new(url(&server), &file).run().await.unwrap_err();
    assert!(matches!(again, BackupError::Exists { .. }), "{again:?}");

    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let restore = async |file: &std::path::Path| {
        let (file, data) = (file.to_owned(), data.clone());
        tokio::task::spawn_blocking(move || restore(&file, &data)).await.unwrap()
    };
    let whole = std::fs::read(&file).unwrap();
    let cut = folder.path().join("cut.backup");
    std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let refused = restore(&cut).await.unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused:?}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing is left of it");
    restore(&file).await.unwrap();
    let twice = restore(&file).await.unwrap_err();
    assert!(matches!(twice, BackupError::Exists { .. }), "{twice:?}");
}

#[tokio::test]
async fn a_backup_takes_a_token_that_may_do_everything() {
    let (server, _access) = crate::access::server().await;
    let folder = tempfile::tempdir().unwrap();
    let mut backup = Backup::new(url(&server), folder.path().join("all.backup"));
    for token in [None, Some(crate::access::SHOP)] {
        backup.token = token.map(Secret::new);
        let refused = backup.run().await.unwrap_err();
        assert!(refused.to_string().contains("403 Forbidden: Permission denied"), "{refused}");
        assert!(!backup.file.exists());
    }
    backup.token = Some(Secret::new(crate::access::ROOT));
    backup.run().await.unwrap();
}
