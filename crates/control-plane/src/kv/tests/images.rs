//! Snapshots of a state that goes on.

use super::*;

fn of_disk(entries: &[Entry], now: Instant) -> State {
    let mut state = State::default();
    entries.iter().for_each(|entry| state.apply(now, entry));
    state.drop_all_compacted();
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_image_and_what_was_written_since_make_the_state(
        before in prop::collection::vec(any_action(), 0..30),
        meanwhile in prop::collection::vec(any_action(), 0..20),
    ) {
        let (mut model, mut real) = (Model::new(), Real::new());
        before.iter().for_each(|action| act(&mut model, &mut real, action));
        let mut image = Image::in_small_parts(&real.state);
        real.needed = Some(real.state.revision());
        let (mut disk, since) = (Vec::new(), real.disk.len());
        // A snapshot that is made is given up when the process ends.
        let is_restart = |action: &&Action| matches!(action, Action::Restart | Action::Snapshot);
        for action in meanwhile.iter().filter(|action| !is_restart(action)) {
            disk.extend(image.part(&real.state));
            act(&mut model, &mut real, action);
        }
        loop {
            let part = image.part(&real.state);
            if part.is_empty() {
                break;
            }
            disk.extend(part);
        }
        disk.extend_from_slice(&real.disk[since..]);
        real.needed = None;
        real.state.drop_compacted(None);
        let again = of_disk(&disk, real.now());
        restart(&mut model, &mut real, again);
        for revision in model.compacted.max(1)..=model.revision() {
            prop_assert_eq!(&real.keys(revision), model.at(revision), "at {}", revision);
        }
        for from in model.compacted.max(1)..=model.revision() {
            let mut seen = watched(&real, from);
            // Within a revision the store keeps the order of the operations.
            seen.iter_mut().for_each(|seen| seen.sort_by_key(|event| (event.0, event.1)));
            prop_assert_eq!(seen, Some(history(&model, from)), "from {}", from);
        }
    }
}

#[test]
fn an_image_says_which_keys_one_revision_changed_in_their_order() {
    let mut real = Real::new();
    let several = Txn { success: vec![put(2, 1, 0), put(0, 1, 0)], ..Txn::default() };
    real.write(|transition| transition.operation(put(1, 1, 0))).unwrap();
    real.write(|transition| transition.txn(&several)).unwrap();
    let again = of_disk(&image(&real.state), real.now());
    assert_eq!(again, real.state);
}

#[test]
fn what_was_compacted_and_not_yet_dropped_is_dropped_from_an_image_of_it() {
    let mut real = Real::new();
    for value in 0..3 {
        real.write(|transition| transition.operation(put(0, value, 0))).unwrap();
    }
    // Somebody has still to read revision 2.
    real.state.apply(real.now(), &Entry::Compacted { revision: 4 });
    let kept = real.state.bytes();
    let again = of_disk(&image(&real.state), real.now());
    real.state.drop_compacted(None);
    assert_eq!((again.dropped(), again.bytes()), (4, real.state.bytes()));
    assert!(again.bytes() < kept);
}

#[test]
fn what_is_put_keeps_no_more_memory_than_its_own() {
    let request = Bytes::from(vec![b'r'; 1000]);
    let mut real = Real::new();
    let (key, value) = (request.slice(..1), Some(request.slice(1..3)));
    let put = Operation::Put(Put { key, value, lease: Some(0), previous: false });
    real.write(|transition| transition.operation(put)).unwrap();
    real.disk.clear();
    assert!(request.is_unique());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_while_a_snapshot_is_written_takes_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { limits: LIMITS, history: Duration::from_secs(60), history_bytes: usize::MAX };
    let fresh = Identity { cluster: 1, member: 2, term: 0 };
    let now = tokio::time::Instant::now().into_std();
    let (store, writer, defragmenter) = open(folder.path(), options, now, fresh, 3).unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(writer.run());
    let put_hundred = async |first: usize| {
        let put = |number: usize| {
            let (key, value) = (format!("{number:04}").into(), Some(vec![b'v'; 2000].into()));
            Operation::Put(Put { key, value, lease: Some(0), previous: false })
        };
        let txn = Txn { success: (first..first + 100).map(put).collect(), ..Txn::default() };
        store.write(move |turn| turn.txn(&txn)).await.unwrap();
    };
    for first in (0..4000).step_by(100) {
        put_hundred(first).await;
    }
    for _ in 0..3 {
        let written = {
            let defragmenter = defragmenter.clone();
            tasks.spawn(async move { defragmenter.run().await })
        };
        // Of the keys that are written last.
        while !written.is_finished() {
            put_hundred(3900).await;
            let latest = store.revision();
            store.write(move |turn| turn.compact(latest)).await.unwrap();
        }
        written.await.unwrap().unwrap();
    }
    let numbers = |state: &State| -> Vec<_> {
        let keys =
            state.histories().map(|(key, history)| (key.clone(), history.at(i64::MAX).cloned()));
        keys.collect()
    };
    let before = numbers(&store.copy().await.unwrap());
    drop((store, defragmenter));
    tasks.close();
    tasks.wait().await;
    let again = log::Journal::open(folder.path(), now, fresh, 3).unwrap().state;
    assert!(before == numbers(&again), "a key began anew");
}
