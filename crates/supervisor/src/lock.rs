//! One supervisor for one `.regatta/`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::process::Identity;

/// Held while a supervisor runs. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Who has the lock.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A supervisor; `None` in the instant before it has written who it is.
    By(Option<Identity>),
    /// The file system failed.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock and writes into it who we are.
    pub(crate) fn take(path: &Path) -> Result<Self, Taken> {
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(Taken::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Taken::By(read(&mut file))),
            Err(TryLockError::Error(error)) => return Err(Taken::Io(error)),
        }
        let own = serde_json::to_vec(&Identity::own()).unwrap_or_default();
        let write = file.set_len(0).and_then(|()| file.write_all(&own));
        write.map_err(Taken::Io)?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock, if anybody does.
    pub(crate) fn holder(path: &Path) -> io::Result<Option<Option<Identity>>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn read(file: &mut File) -> Option<Identity> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_take_it_learns_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        let Err(Taken::By(holder)) = Lock::take(&path) else { panic!("taken twice") };
        assert_eq!(holder, Some(Identity::own()));
        assert_eq!(Lock::holder(&path).unwrap(), Some(Some(Identity::own())));
        drop(first);
        assert_eq!(Lock::holder(&path).unwrap(), None);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn nobody_holds_a_lock_that_was_never_made() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(&folder.path().join("lock")).unwrap(), None);
    }
}
