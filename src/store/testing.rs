//! The database by hand, for tests: on a fresh store of the engine that is tested.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::db::{Database, Row, Value, query_of};
use super::location::ServerLocation;
use super::{Location, Result, Store};

/// Where a new database may be made: a file in the folder, or, where `AMZCTL_TEST_DATABASE_URL` names a server, a database
/// of its own on that.
pub(crate) async fn fresh_location(folder: &Path) -> Location {
    let Ok(url) = std::env::var("AMZCTL_TEST_DATABASE_URL") else {
        return Location::File(folder.join("amzctl.db"));
    };
    let server: PgConnectOptions = url.parse().unwrap();
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = server.connect().await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Location::Server(ServerLocation {
        options: Box::new(server.database(&name)),
        is_pooled: false,
        beside: folder.join("amzctl.db"),
    })
}

/// A store with nothing in it; a file of it lies in the folder.
pub(crate) async fn fresh_store(folder: &Path) -> Store {
    Store::create(fresh_location(folder).await).await.unwrap()
}

impl Store {
    /// Runs statements as one transaction.
    pub(crate) async fn run_script(&self, script: impl Into<String>) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.run_script(script.into()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A literal of these bytes.
    pub(crate) fn bytes(&self, text: &str) -> String {
        let digits = crate::ids::hex(text.as_bytes());
        match self.reader() {
            Database::Sqlite(_) => format!("x'{digits}'"),
            Database::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// The seconds from 1970 to the beginning of a day.
    pub(crate) fn epoch_of(&self, day: &str) -> String {
        match self.reader() {
            Database::Sqlite(_) => format!("unixepoch({day})"),
            Database::Postgres(_) => format!("CAST(EXTRACT(EPOCH FROM CAST({day} AS DATE)) AS BIGINT)"),
        }
    }

    pub(crate) async fn rows(&self, sql: impl Into<String>) -> Vec<Row> {
        query_of(sql.into()).fetch_all(self.reader()).await.unwrap()
    }

    /// The rows of a query, their values joined by spaces; null is `-`.
    pub(crate) async fn lines(&self, sql: impl Into<String>) -> Vec<String> {
        let text = |value: Value<'_>| match value {
            Value::Int(Some(number)) => number.to_string(),
            Value::Real(Some(number)) => number.to_string(),
            Value::Text(Some(text)) => text.into_owned(),
            Value::Blob(Some(bytes)) => crate::ids::hex(&bytes),
            _ => "-".to_owned(),
        };
        let line = |row: &Row| row.values().unwrap().into_iter().map(text).collect::<Vec<_>>().join(" ");
        self.rows(sql).await.iter().map(line).collect()
    }

    /// The only value of a query.
    pub(crate) async fn number(&self, sql: impl Into<String>) -> i64 {
        self.rows(sql).await[0].try_get(0).unwrap()
    }
}
