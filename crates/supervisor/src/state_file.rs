//! Writes the state down as it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::board::Board;

/// The file that holds the board's state.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    board: Board,
    /// Held while the state is read and written: an older state never replaces a newer one.
    writing: Mutex<()>,
}

impl StateFile {
    pub(crate) fn new(path: PathBuf, board: Board) -> Self {
        Self { path, board, writing: Mutex::new(()) }
    }

    /// Writes the present state. A disk that is full does not end the system; a warning tells.
    pub(crate) fn save(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.board.state().write(&self.path) {
            self.board.warn(format!("`{}` cannot be written: {error}", self.path.display()));
        }
    }

    /// Writes the state now and after each change, until `done`.
    pub(crate) async fn follow(self: Arc<Self>, done: CancellationToken) {
        let mut changes = self.board.watch();
        changes.mark_changed();
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            self.save();
        }
    }
}
