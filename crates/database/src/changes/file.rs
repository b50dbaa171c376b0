//! Hears of commits to a SQLite file through `inotify`.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use super::POLL;

/// A SQLite file with a write-ahead log, every commit of which is a write to the log.
#[derive(Debug)]
pub(super) struct File {
    folder: PathBuf,
    log: OsString,
    watch: Option<AsyncFd<Watch>>,
    /// Watching failed and was told; from now on the file is looked at.
    polls: bool,
}

#[derive(Debug)]
struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl File {
    pub(super) fn new(path: &Path) -> Self {
        let mut log = path.file_name().unwrap_or_default().to_owned();
        log.push("-wal");
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        Self { folder, log, watch: None, polls: false }
    }

    /// Waits for a write to the log. The folder is watched, since the log comes and goes.
    pub(super) async fn next(&mut self) {
        if self.polls {
            return tokio::time::sleep(POLL).await;
        }
        let watch = match &self.watch {
            Some(watch) => watch,
            None => match watch(&self.folder) {
                Ok(watch) => {
                    self.watch = Some(watch);
                    // What was committed before is news as well.
                    return;
                }
                Err(error) => {
                    let folder = self.folder.display();
                    tracing::warn!(%folder, %error, "cannot watch the folder; looking every 50 ms");
                    self.polls = true;
                    return;
                }
            },
        };
        loop {
            let Ok(mut ready) = watch.readable().await else { return };
            let Ok(read) = ready.try_io(|watch| Ok(watch.get_ref().0.read_events()?)) else {
                continue;
            };
            // An error, or an event without a name (too many came), may hide a commit.
            let is_news = read.map_or(true, |events| {
                let log = Some(&self.log);
                events.iter().any(|event| event.name.is_none() || event.name.as_ref() == log)
            });
            if is_news {
                return;
            }
        }
    }
}

fn watch(folder: &Path) -> std::io::Result<AsyncFd<Watch>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(folder, AddWatchFlags::IN_MODIFY)?;
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe and asks that the descriptor is owned, as `Inotify` does"
    )]
    AsyncFd::with_interest(Watch(inotify), tokio::io::Interest::READABLE)
}
