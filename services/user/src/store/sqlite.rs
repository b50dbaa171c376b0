//! Users in a SQLite file.

use async_trait::async_trait;
use regatta_database::{Database, Error as DatabaseError, Sqlite};

use super::row::{Row, domain_error};
use crate::domain::{Change, Error, NewUser, PageSize, User, UserId, Users};

/// Users in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteUsers {
    database: Database,
    sqlite: Sqlite,
}

impl SqliteUsers {
    pub(super) fn new(database: Database, sqlite: Sqlite) -> Self {
        Self { database, sqlite }
    }
}

#[async_trait]
impl Users for SqliteUsers {
    async fn create(&self, user: NewUser) -> Result<User, Error> {
        let insert = async {
            // In a transaction, so that an error of the commit is seen: of a statement with
            // RETURNING that commits by itself, fetch_one reads the row and drops the rest.
            let mut writing = self.sqlite.begin().await?;
            let row: Row = sqlx::query_as(
                "INSERT INTO users (name, email) VALUES (?1, ?2)
                 RETURNING id, name, email, created_at",
            )
            .bind(user.name.as_str())
            .bind(user.email.as_str())
            .fetch_one(&mut *writing)
            .await?;
            writing.commit().await?;
            Ok::<_, DatabaseError>(row)
        };
        let row = self.database.query("INSERT", "users", insert).await.map_err(domain_error)?;
        row.into_user()
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, Error> {
        let select =
            sqlx::query_as::<_, Row>("SELECT id, name, email, created_at FROM users WHERE id = ?1")
                .bind(id.number())
                .fetch_optional(self.sqlite.reader());
        let row = self.database.query("SELECT", "users", select).await.map_err(domain_error)?;
        row.map(Row::into_user).transpose()
    }

    async fn update(&self, id: UserId, change: Change) -> Result<Option<User>, Error> {
        let update = async {
            let mut writing = self.sqlite.begin().await?;
            let row: Option<Row> = sqlx::query_as(
                "UPDATE users SET name = coalesce(?2, name), email = coalesce(?3, email)
                 WHERE id = ?1 RETURNING id, name, email, created_at",
            )
            .bind(id.number())
            .bind(change.name.as_ref().map(|name| name.as_str()))
            .bind(change.email.as_ref().map(|email| email.as_str()))
            .fetch_optional(&mut *writing)
            .await?;
            writing.commit().await?;
            Ok::<_, DatabaseError>(row)
        };
        let row = self.database.query("UPDATE", "users", update).await.map_err(domain_error)?;
        row.map(Row::into_user).transpose()
    }

    async fn delete(&self, id: UserId) -> Result<bool, Error> {
        let delete = sqlx::query("DELETE FROM users WHERE id = ?1").bind(id.number());
        let delete = delete.execute(self.sqlite.writer());
        let done = self.database.query("DELETE", "users", delete).await.map_err(domain_error)?;
        Ok(done.rows_affected() == 1)
    }

    async fn page(&self, after: Option<UserId>, size: PageSize) -> Result<Vec<User>, Error> {
        let select = sqlx::query_as::<_, Row>(
            "SELECT id, name, email, created_at FROM users WHERE id > ?1 ORDER BY id LIMIT ?2",
        )
        .bind(after.map_or(0, UserId::number))
        .bind(size.number())
        .fetch_all(self.sqlite.reader());
        let rows = self.database.query("SELECT", "users", select).await.map_err(domain_error)?;
        rows.into_iter().map(Row::into_user).collect()
    }
}
