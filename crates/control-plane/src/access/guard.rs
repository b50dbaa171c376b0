//! What is in force: finds out who a request is from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};

use super::file;
use super::policy::Policy;
use super::rules::{Grant, Rules};
use super::secret::{PasswordHash, TokenHash, draw_token};
use super::sessions::{LoggedIn, Sessions};

/// Passwords checked at once: each takes a core for a moment.
const LOGINS: usize = 1;
/// The largest access file, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Who may do what, as it is in force; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None: there is no access control, everybody may do everything.
    file: Option<PathBuf>,
    policy: ArcSwap<Policy>,
    /// Told when another policy is in force.
    changes: watch::Sender<()>,
    sessions: Mutex<Sessions>,
    logins: Semaphore,
    everything: Arc<Grant>,
}

/// Somebody, so that it can be asked again what they may: a stream lasts longer than a session.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Presented no token, or there is no access control.
    Anybody,
    /// By a token of the file.
    Token(TokenHash),
    /// By the password it logged in with.
    User(Arc<LoggedIn>),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The token is not, or no longer, one that is known.
    UnknownToken,
    /// The user or the password is not one that is known.
    WrongPassword,
    /// There is no access control, so there is nobody to be.
    NotEnabled,
}

/// The access file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// It cannot be read.
    #[error("cannot read the access file `{}`; check that it is there and readable", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("the access file `{}` cannot be used: {problems}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with lines.
        problems: String,
    },
}

impl Access {
    /// Everybody may do everything.
    pub(crate) fn open() -> Self {
        Self::new(None, Policy::default())
    }

    /// By a file, which is read at once.
    pub(crate) fn by_file(path: PathBuf) -> Result<Self, AccessError> {
        let policy = read(&path)?;
        Ok(Self::new(Some(path), policy))
    }

    fn new(file: Option<PathBuf>, policy: Policy) -> Self {
        let everything = Grant { name: "everybody".to_owned(), rules: Rules::management() };
        Self(Arc::new(Inner {
            file,
            policy: ArcSwap::from_pointee(policy),
            changes: watch::Sender::new(()),
            sessions: Mutex::default(),
            logins: Semaphore::new(LOGINS),
            everything: Arc::new(everything),
        }))
    }

    /// Reads the file anew; what was in force stays when it cannot be used. Says whether there was
    /// a change.
    pub(crate) fn reload(&self) -> Result<bool, AccessError> {
        let Some(path) = &self.0.file else { return Ok(false) };
        let policy = read(path)?;
        let is_new = **self.0.policy.load() != policy;
        if is_new {
            self.0.policy.store(Arc::new(policy));
            self.0.changes.send_replace(());
        }
        Ok(is_new)
    }

    /// Whether anybody has to say who they are.
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.file.is_some()
    }

    /// What somebody who presents this token may; without one, what everybody may.
    pub(crate) fn grant(&self, now: Instant, token: Option<&str>) -> Result<Arc<Grant>, Denied> {
        self.grant_to(&self.who(now, token)?)
    }

    /// Who presents this token.
    pub(crate) fn who(&self, now: Instant, token: Option<&str>) -> Result<Who, Denied> {
        let Some(token) = token.filter(|token| self.is_enabled() && !token.is_empty()) else {
            return Ok(Who::Anybody);
        };
        // Found by its hash, so that the time it takes says nothing about the token.
        let hash = TokenHash::of(token);
        if self.0.policy.load().tokens.contains_key(&hash) {
            return Ok(Who::Token(hash));
        }
        let mut sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .find(now, &hash)
            .map(|user| Who::User(Arc::clone(user)))
            .ok_or(Denied::UnknownToken)
    }

    /// What somebody may by now.
    pub(crate) fn grant_to(&self, who: &Who) -> Result<Arc<Grant>, Denied> {
        if !self.is_enabled() {
            return Ok(Arc::clone(&self.0.everything));
        }
        let policy = self.0.policy.load();
        let grant = match who {
            Who::Anybody => Some(&policy.anonymous),
            Who::Token(hash) => policy.tokens.get(hash),
            Who::User(known) => {
                let user = policy.users.get(&known.name);
                user.filter(|user| user.password == known.password).map(|user| &user.grant)
            }
        };
        grant.cloned().ok_or(Denied::UnknownToken)
    }

    /// Says when another policy is in force than was at this call.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Checks a password; answers a token that lasts as long as it is used.
    ///
    /// Cancel safe: a dropped call begins no session.
    pub(crate) async fn log_in(
        &self,
        now: impl FnOnce() -> Instant,
        name: &str,
        password: String,
    ) -> Result<String, Denied> {
        if !self.is_enabled() {
            return Err(Denied::NotEnabled);
        }
        let _place = self.0.logins.acquire().await.map_err(|_| Denied::WrongPassword)?;
        let known = self.0.policy.load().users.get(name).map(|user| user.password.clone());
        // Somebody unknown takes as long as somebody known, so that names cannot be found out.
        let hash = known.clone().unwrap_or_else(stranger);
        let checked = hash.clone();
        let is_right = tokio::task::spawn_blocking(move || checked.is_of(&password)).await;
        if known.is_none() || !is_right.unwrap_or(false) {
            return Err(Denied::WrongPassword);
        }
        let token = draw_token().expose().to_owned();
        let mut sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.begin(now(), TokenHash::of(&token), name.to_owned(), hash);
        Ok(token)
    }
}

/// The hash of no password.
fn stranger() -> PasswordHash {
    let text = format!("pbkdf2-sha256:600000:AAAAAAAAAAAAAAAA:{}=", "A".repeat(43));
    text.parse().expect("the constant is a hash")
}

fn read(path: &Path) -> Result<Policy, AccessError> {
    let failed = |source| AccessError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MOST_BYTES {
        let problems = format!("it has {bytes} bytes; at most {MOST_BYTES} are read");
        return Err(AccessError::Content { path: path.to_owned(), problems });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    file::parse(&text).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        AccessError::Content { path: path.to_owned(), problems: problems.join("; ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::secret::{Secret, hash_password, hash_token};
    use crate::access::{Level, Resource};

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn text(password: &str) -> String {
        format!(
            "tokens:\n- name: shop\n  sha256: {}\n  rules: {{ key: {{ a: read }} }}\nusers:\n- name: \
             ann\n  password: {}\n  rules: {{ key: {{ b: write }} }}\n",
            hash_token(&Secret::new("drawn")),
            hash_password(&Secret::new(password)),
        )
    }

    fn access() -> (Access, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.yaml");
        std::fs::write(&path, text("ahoy")).unwrap();
        (Access::by_file(path).unwrap(), folder)
    }

    #[test]
    fn without_a_file_everybody_may_do_everything() {
        let grant = Access::open().grant(now(), Some("any")).unwrap();
        assert!(grant.rules.is_management());
    }

    #[test]
    fn a_token_is_known_and_another_is_not() {
        let (access, _folder) = access();
        assert_eq!(access.grant(now(), Some("drawn")).unwrap().name, "shop");
        assert_eq!(access.grant(now(), None).unwrap().name, "anonymous");
        assert_eq!(access.grant(now(), Some("")).unwrap().name, "anonymous");
        assert_eq!(access.grant(now(), Some("drawm")), Err(Denied::UnknownToken));
    }

    #[tokio::test]
    async fn a_password_gives_a_token_until_it_is_changed() {
        let (access, folder) = access();
        let log_in =
            async |name: &str, password: &str| access.log_in(now, name, password.to_owned()).await;
        assert_eq!(log_in("ann", "no").await, Err(Denied::WrongPassword));
        assert_eq!(log_in("bob", "ahoy").await, Err(Denied::WrongPassword));
        let token = log_in("ann", "ahoy").await.unwrap();
        let grant = access.grant(now(), Some(&token)).unwrap();
        assert!(grant.rules.allows(Resource::Key, b"b", Level::Write));
        std::fs::write(folder.path().join("access.yaml"), text("other")).unwrap();
        assert!(access.reload().unwrap());
        assert_eq!(access.grant(now(), Some(&token)), Err(Denied::UnknownToken));
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_what_was_in_force() {
        let (access, folder) = access();
        let path = folder.path().join("access.yaml");
        std::fs::write(&path, "tokens: 1").unwrap();
        assert!(access.reload().is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(access.reload().is_err());
        assert!(access.grant(now(), Some("drawn")).is_ok());
    }
}
