//! The secret that signs development tokens, made once per `.regatta/`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rand::TryRngCore as _;

/// Reads the secret, or makes one of 32 random bytes (64 hexadecimal digits) from the operating
/// system's source, in a file that only its owner may read.
///
/// # Errors
///
/// That of the file system or of the random source. A file that others may read, or that is too
/// short, is refused: ``InvalidData``.
pub fn development_secret(path: &Path) -> io::Result<String> {
    match read_secret(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        other => other,
    }
}

/// Reads the secret.
///
/// # Errors
///
/// `NotFound` when `up` never made one; `InvalidData` when others may read the file or it holds
/// less than 32 bytes.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(invalid(format!(
            "`{}` has mode {mode:o}, so that others may read the secret; run chmod 600 on it",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path)?.trim().to_owned();
    if text.len() < 32 {
        return Err(invalid(format!(
            "`{}` holds {} bytes; a secret has at least 32; delete the file and run `regatta up`",
            path.display(),
            text.len()
        )));
    }
    Ok(text)
}

fn make(path: &Path) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    let text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    });
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_one_that_only_the_owner_reads_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt-hs256");
        let secret = development_secret(&path).unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(development_secret(&path).unwrap(), secret);
    }

    #[test]
    fn two_systems_have_two_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let first = development_secret(&folder.path().join("a")).unwrap();
        assert_ne!(first, development_secret(&folder.path().join("b")).unwrap());
    }

    #[test]
    fn refuses_one_that_others_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt-hs256");
        development_secret(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(development_secret(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn refuses_one_that_is_too_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt-hs256");
        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(development_secret(&path).unwrap_err().to_string().contains("at least 32"));
    }
}
