//! Copies of the state, made while it changes.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_while_groups_are_written_holds_nothing_that_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { limits: LIMITS, history: Duration::from_secs(60), history_bytes: usize::MAX };
    let fresh = Identity { cluster: 1, member: 2, term: 0 };
    let now = tokio::time::Instant::now().into_std();
    let (store, writer, _defragmenter) = open(folder.path(), options, now, fresh, 3).unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(writer.run());
    let writers = store.clone();
    tasks.spawn(async move {
        for number in 0..200_u8 {
            let value = Some(vec![number].into());
            let put = Put { key: "a".into(), value, lease: Some(0), previous: false };
            writers.write(|turn| turn.operation(Operation::Put(put))).await.unwrap();
        }
    });
    while store.revision() < 201 {
        let copy = store.copy().await.unwrap();
        // What is committed later can be seen by now, what is not yet cannot.
        assert!(copy.revision() <= store.revision(), "{} is not committed", copy.revision());
        tokio::task::yield_now().await;
    }
    drop(store);
    tasks.close();
    tasks.wait().await;
}
