//! Users kept for a while, in a cache before the store.

use std::sync::Arc;

use async_trait::async_trait;
use regatta::cache::{CacheAside, Write};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::{Change, Email, Error, Name, NewUser, PageSize, User, UserId, Users};

/// What all pages of the list are marked with.
const LIST: &str = "user:list";

/// Users in a store, with a cache before it.
///
/// A user is kept as `user:{id}`, a page of the list as `user:list:{after}:{size}`. A write clears the
/// user it changes, and every page.
#[derive(Clone)]
pub struct CachedUsers {
    users: Arc<dyn Users>,
    cache: CacheAside,
}

impl CachedUsers {
    /// This store with this cache before it.
    pub fn new(users: Arc<dyn Users>, cache: CacheAside) -> Self {
        Self { users, cache }
    }

    /// A write of this user: each of its ends, an error and a deadline too, may have written.
    fn write(&self, id: UserId) -> Write {
        self.cache.write().key(key(id)).tag(LIST)
    }
}

#[async_trait]
impl Users for CachedUsers {
    async fn create(&self, user: NewUser) -> Result<User, Error> {
        let mut write = self.cache.write().tag(LIST);
        let created = self.users.create(user).await;
        if let Ok(user) = &created {
            // That there is none of this number may be known.
            write = write.key(key(user.id));
        }
        write.done().await;
        created
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, Error> {
        let find = || async { Ok(self.users.get(id).await?.map(Kept::from)) };
        let kept = self.cache.entry(key(id)).get_or_find(find).await?;
        match kept.map(Kept::into_user) {
            None => Ok(None),
            Some(Some(user)) => Ok(Some(user)),
            Some(None) => {
                // Somebody else has written there.
                self.cache.invalidate(key(id)).await;
                self.users.get(id).await
            }
        }
    }

    async fn update(&self, id: UserId, change: Change) -> Result<Option<User>, Error> {
        let write = self.write(id);
        let updated = self.users.update(id, change).await;
        write.done().await;
        updated
    }

    async fn delete(&self, id: UserId) -> Result<bool, Error> {
        let write = self.write(id);
        let deleted = self.users.delete(id).await;
        write.done().await;
        deleted
    }

    async fn page(&self, after: Option<UserId>, size: PageSize) -> Result<Vec<User>, Error> {
        let first = after.map_or(0, UserId::number);
        let entry = self.cache.entry(format!("user:list:{first}:{}", size.number())).tag(LIST);
        let load = || async {
            let page = self.users.page(after, size).await?;
            Ok::<Vec<Kept>, Error>(page.into_iter().map(Kept::from).collect())
        };
        let kept = entry.get_or_load(load).await?;
        match kept.into_iter().map(Kept::into_user).collect() {
            Some(users) => Ok(users),
            None => {
                self.cache.invalidate_tag(LIST).await;
                self.users.page(after, size).await
            }
        }
    }
}

fn key(id: UserId) -> String {
    format!("user:{id}")
}

/// A user as it stands in the cache.
#[derive(Serialize, Deserialize)]
struct Kept {
    user_id: i32,
    name: String,
    email: String,
    /// RFC 3339, in UTC.
    created_at: String,
}

impl From<User> for Kept {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id.number(),
            name: user.name.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            // A time of the database has four digits for the year; nothing else can fail.
            created_at: user.created_at.format(&Rfc3339).unwrap_or_default(),
        }
    }
}

impl Kept {
    /// None when it is not what this program writes.
    fn into_user(self) -> Option<User> {
        Some(User {
            id: UserId::try_new(self.user_id.into()).ok()?,
            name: Name::try_new(&self.name).ok()?,
            email: Email::try_new(&self.email).ok()?,
            created_at: OffsetDateTime::parse(&self.created_at, &Rfc3339).ok()?,
        })
    }
}
