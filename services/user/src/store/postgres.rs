//! Users in PostgreSQL.

use async_trait::async_trait;
use regatta_database::{Database, Postgres, Transaction};

use super::row::{Row, domain_error};
use super::telling::Telling;
use crate::domain::{Change, Error, NewUser, PageSize, User, UserEvent, UserId, Users};

/// Users in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresUsers {
    database: Database,
    postgres: Postgres,
    telling: Telling,
}

impl PostgresUsers {
    pub(super) fn new(database: Database, postgres: Postgres, telling: Telling) -> Self {
        Self { database, postgres, telling }
    }
}

#[async_trait]
impl Users for PostgresUsers {
    async fn create(&self, user: NewUser) -> Result<User, Error> {
        let mut creating = self.postgres.begin().await.map_err(domain_error)?;
        let insert = sqlx::query_as::<_, Row>(
            "INSERT INTO users (name, email) VALUES ($1, $2)
             RETURNING id::bigint, name, email, created_at",
        )
        .bind(user.name.as_str())
        .bind(user.email.as_str())
        .fetch_one(&mut *creating);
        let row = self.database.query("INSERT", "users", insert).await.map_err(domain_error)?;
        let user = row.into_user()?;
        let created = UserEvent::Created(user.clone());
        self.telling.commit(Transaction::Postgres(creating), &created).await?;
        Ok(user)
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id::bigint, name, email, created_at FROM users WHERE id = $1",
        )
        .bind(id.number())
        .fetch_optional(self.postgres.pool());
        let row = self.database.query("SELECT", "users", select).await.map_err(domain_error)?;
        row.map(Row::into_user).transpose()
    }

    async fn update(&self, id: UserId, change: Change) -> Result<Option<User>, Error> {
        let mut updating = self.postgres.begin().await.map_err(domain_error)?;
        let update = sqlx::query_as::<_, Row>(
            "UPDATE users SET name = coalesce($2, name), email = coalesce($3, email)
             WHERE id = $1 RETURNING id::bigint, name, email, created_at",
        )
        .bind(id.number())
        .bind(change.name.as_ref().map(|name| name.as_str()))
        .bind(change.email.as_ref().map(|email| email.as_str()))
        .fetch_optional(&mut *updating);
        let row = self.database.query("UPDATE", "users", update).await.map_err(domain_error)?;
        let Some(user) = row.map(Row::into_user).transpose()? else { return Ok(None) };
        let updated = UserEvent::Updated(user.clone());
        self.telling.commit(Transaction::Postgres(updating), &updated).await?;
        Ok(Some(user))
    }

    async fn delete(&self, id: UserId) -> Result<bool, Error> {
        let mut deleting = self.postgres.begin().await.map_err(domain_error)?;
        let delete = sqlx::query("DELETE FROM users WHERE id = $1").bind(id.number());
        let delete = delete.execute(&mut *deleting);
        let done = self.database.query("DELETE", "users", delete).await.map_err(domain_error)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        self.telling.commit(Transaction::Postgres(deleting), &UserEvent::Deleted(id)).await?;
        Ok(true)
    }

    async fn page(&self, after: Option<UserId>, size: PageSize) -> Result<Vec<User>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id::bigint, name, email, created_at FROM users
             WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after.map_or(0, UserId::number))
        .bind(i64::from(size.number()))
        .fetch_all(self.postgres.pool());
        let rows = self.database.query("SELECT", "users", select).await.map_err(domain_error)?;
        rows.into_iter().map(Row::into_user).collect()
    }
}
