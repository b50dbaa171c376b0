//! Appends to a SQLite file that wait for one another are committed together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_database::{Error as DatabaseError, Sqlite};
use regatta_eventstore::{AppendError, Appended, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::sqlite::{self, Answer};
use super::written::Written;
use crate::engine::failed;

/// How many events a group takes before it is full: who waits behind it waits for one commit more,
/// and other writers of the file for no longer than a large append takes.
const MOST_EVENTS: usize = 1000;

/// Lets one append to a file write at a time, and those that come meanwhile together after it: they
/// share one transaction and one flush of the disk.
///
/// Each is judged by itself, so one that is refused harms no other, and is answered after the commit.
/// What waits is bounded by who waits: an append whose caller has gone is left out.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    sqlite: Sqlite,
    turn: Arc<Mutex<Turn>>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Turn {
    /// Somebody writes, and sees to those who wait.
    is_taken: bool,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    append: Written,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Has the turn for an append of its own; given back, a task has it for those who wait, if any.
struct Holder<'a>(&'a Group);

/// Has the turn for those who wait. Dropped before all are answered, it lets them go: then the runtime
/// has ended, or a bug has ended the task.
struct Task {
    group: Group,
    is_done: bool,
}

impl Group {
    pub(crate) fn new(sqlite: &Sqlite) -> Self {
        Self { sqlite: sqlite.clone(), turn: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Appends, by itself when nobody writes, else with the others who wait.
    ///
    /// Not cancel safe: a dropped append may have happened; others are not touched by it.
    pub(crate) async fn append(&self, append: Written) -> Result<Appended, AppendError> {
        let waiting = {
            let mut turn = self.turn();
            if std::mem::replace(&mut turn.is_taken, true) {
                let (answer, answered) = oneshot::channel();
                turn.waiting.push_back(Waiting { append, answer });
                Err(answered)
            } else {
                Ok(append)
            }
        };
        match waiting {
            Ok(append) => {
                let _holder = Holder(self);
                self.alone(&append).await
            }
            Err(answered) => answered.await.unwrap_or_else(|_| Err(cut_off())),
        }
    }

    async fn alone(&self, append: &Written) -> Result<Appended, AppendError> {
        if let Some(done) = sqlite::at_once(&self.sqlite, append).await.map_err(failed)? {
            return Ok(done);
        }
        let answer = self.commit(&[append]).await.map_err(failed)?.pop().flatten();
        answer.unwrap_or_else(|| Err(cut_off()))
    }

    async fn commit(&self, group: &[&Written]) -> Result<Vec<Answer>, DatabaseError> {
        let mut transaction = self.sqlite.begin().await?;
        let answers = sqlite::together(&mut transaction, group).await?;
        transaction.commit().await?;
        Ok(answers)
    }

    /// Writes group after group until nobody waits, and gives the turn back.
    async fn run(&self) {
        while let Some(mut group) = self.next() {
            if group.len() == 1 {
                if let Some(one) = group.pop() {
                    let answer = self.alone(&one.append).await;
                    one.tell(answer);
                }
                continue;
            }
            let appends: Vec<_> = group.iter().map(|one| &one.append).collect();
            match self.commit(&appends).await {
                Ok(answers) => self.answer(group, answers),
                // The file is away, full or locked: so it is for each of them.
                Err(error) if is_of_the_medium(&error) => {
                    group.into_iter().for_each(|one| one.tell(Err(failed(error.clone()).into())));
                }
                // One of them is to blame, and the others are not.
                Err(_) => {
                    for one in group {
                        let answer = self.alone(&one.append).await;
                        one.tell(answer);
                    }
                }
            }
        }
    }

    fn answer(&self, group: Vec<Waiting>, answers: Vec<Answer>) {
        let mut later = Vec::new();
        for (one, answer) in group.into_iter().zip(answers) {
            match answer {
                Some(answer) => one.tell(answer),
                None => later.push(one),
            }
        }
        let mut turn = self.turn();
        later.into_iter().rev().for_each(|one| turn.waiting.push_front(one));
    }

    /// Those who wait, as many as fit into a group; with nobody the turn is given back.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut turn = self.turn();
        let (mut group, mut events) = (Vec::new(), 0);
        while let Some(one) = turn.waiting.pop_front() {
            if one.answer.is_closed() {
                continue;
            }
            events += one.append.len();
            if events > MOST_EVENTS && !group.is_empty() {
                turn.waiting.push_front(one);
                break;
            }
            group.push(one);
        }
        turn.is_taken = !group.is_empty();
        turn.is_taken.then_some(group)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        // Each change of it leaves nothing half-made.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        let mut turn = self.0.turn();
        if turn.waiting.is_empty() {
            turn.is_taken = false;
            return;
        }
        drop(turn);
        let task = Task { group: self.0.clone(), is_done: false };
        // A task of its own: whoever of them gives up takes nobody along. Without a runtime those who
        // wait have ended too.
        if let Ok(runtime) = Handle::try_current() {
            self.0.tasks.spawn_on(task.run(), &runtime);
        }
    }
}

impl Task {
    async fn run(mut self) {
        self.group.run().await;
        self.is_done = true;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut turn = self.group.turn();
        // After its end another one may have the turn already, and nobody waits for this one.
        if !self.is_done {
            turn.is_taken = false;
            turn.waiting.clear();
        }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("stream", &self.append.stream).finish_non_exhaustive()
    }
}

impl Waiting {
    fn tell(self, answer: Result<Appended, AppendError>) {
        // Who does not wait any more finds out when they repeat it.
        let _ = self.answer.send(answer);
    }
}

/// Whether an error says nothing of the append that met it.
fn is_of_the_medium(error: &DatabaseError) -> bool {
    matches!(
        error,
        DatabaseError::Unavailable(_)
            | DatabaseError::Conflict(_)
            | DatabaseError::TimedOut(_)
            | DatabaseError::SchemaPending
    )
}

/// The task that writes has ended before it was done.
fn cut_off() -> AppendError {
    StoreError::Unavailable("the append was cut off; whether it happened is not known".into())
        .into()
}
