//! Who has logged in: tokens that etcd's clients got for a password.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::secret::{PasswordHash, TokenHash};

/// How long a session lasts after it was used last: etcd's.
pub(crate) const TTL: Duration = Duration::from_secs(300);
/// Sessions at once; the one that was idle longest goes for one more. A client has one.
const MOST: usize = 10_000;

/// Who has logged in.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// By the hash of their token.
    all: HashMap<TokenHash, Session>,
}

#[derive(Debug)]
struct Session {
    user: Arc<LoggedIn>,
    deadline: Instant,
}

/// A user who gave a password.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) name: String,
    /// What the password was checked against; another one ends the session.
    pub(crate) password: PasswordHash,
}

impl Sessions {
    /// Begins a session.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        token: TokenHash,
        user: String,
        password: PasswordHash,
    ) {
        if self.all.len() >= MOST {
            self.all.retain(|_, session| session.deadline > now);
        }
        if self.all.len() >= MOST {
            let oldest = self.all.iter().min_by_key(|(_, session)| session.deadline);
            if let Some(oldest) = oldest.map(|(token, _)| *token) {
                self.all.remove(&oldest);
            }
        }
        let user = Arc::new(LoggedIn { name: user, password });
        self.all.insert(token, Session { user, deadline: now + TTL });
    }

    /// Whose session it is; its time begins anew.
    pub(crate) fn find(&mut self, now: Instant, token: &TokenHash) -> Option<&Arc<LoggedIn>> {
        let session = self.all.get_mut(token)?;
        if session.deadline <= now {
            self.all.remove(token);
            return None;
        }
        session.deadline = now + TTL;
        self.all.get(token).map(|session| &session.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> PasswordHash {
        format!("pbkdf2-sha256:1000:AAAAAAAAAAAAAAAA:{}=", "A".repeat(43)).parse().unwrap()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a first instant to count from")]
    fn a_session_ends_when_it_was_not_used_for_its_time() {
        let start = Instant::now();
        let token = TokenHash::of("t");
        let mut sessions = Sessions::default();
        sessions.begin(start, token, "ann".to_owned(), password());
        let mut is_there =
            |seconds| sessions.find(start + Duration::from_secs(seconds), &token).is_some();
        assert!(is_there(299));
        assert!(is_there(598));
        assert!(!is_there(898));
        assert!(!is_there(898));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a first instant to count from")]
    fn one_more_than_allowed_ends_the_one_that_was_idle_longest() {
        let start = Instant::now();
        let mut sessions = Sessions::default();
        for number in 0..=MOST {
            let now = start + Duration::from_millis(number as u64);
            let token = TokenHash::of(&number.to_string());
            sessions.begin(now, token, "ann".to_owned(), password());
        }
        assert_eq!(sessions.all.len(), MOST);
        let now = start + Duration::from_secs(20);
        assert!(sessions.find(now, &TokenHash::of("0")).is_none());
        assert!(sessions.find(now, &TokenHash::of("1")).is_some());
    }
}
