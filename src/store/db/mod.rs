//! One way to ask either engine: the embedded SQLite, or a PostgreSQL server. Everything above this module is written
//! once; here lies what differs.
//!
//! | file | what it is |
//! | --- | --- |
//! | `sqlite`, `postgres` | connections, and how a transaction begins |
//! | `query` | a statement and its values |
//! | `row` | a row and what is read from its columns |
//! | `bulk` | many rows at once |
//! | `partitions` | tables by month |

pub(super) mod bulk;
mod partitions;
pub(super) mod postgres;
mod query;
mod row;
pub(super) mod sqlite;

pub(super) use bulk::Values;
pub(super) use partitions::Monthly;
pub(super) use query::{Bind, Statement, Value, query, query_of, query_scalar, query_scalar_of};
pub(super) use row::{Column, Row};

use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};

use self::postgres::Server;
use self::sqlite::File;

/// The engine of a store, with its connections.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    Sqlite(File),
    Postgres(Server),
}

/// A transaction. Of those that write there is one at a time, on either engine: what it reads stays true until it ends.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres {
        tx: Transaction<'static, Postgres>,
        /// A pooler lies in between, which may give the next transaction another connection.
        is_pooled: bool,
    },
}

impl Tx {
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await,
            Tx::Postgres { tx, .. } => tx.commit().await,
        }
    }

    /// Runs statements without values, one after the other.
    pub(crate) async fn run_script(&mut self, script: String) -> sqlx::Result<()> {
        let script = sqlx::raw_sql(AssertSqlSafe(script));
        match self {
            Tx::Sqlite(tx) => script.execute(&mut **tx).await.map(|_| ()),
            Tx::Postgres { tx, .. } => script.execute(&mut **tx).await.map(|_| ()),
        }
    }

    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Tx::Sqlite(tx) => tx.rollback().await,
            Tx::Postgres { tx, .. } => tx.rollback().await,
        }
    }
}

/// Where a statement that only reads may run.
pub(crate) enum On<'c> {
    Database(&'c Database),
    Tx(&'c mut Tx),
}

impl<'c> From<&'c Database> for On<'c> {
    fn from(database: &'c Database) -> On<'c> {
        On::Database(database)
    }
}

impl<'c> From<&'c mut Tx> for On<'c> {
    fn from(tx: &'c mut Tx) -> On<'c> {
        On::Tx(tx)
    }
}

impl Database {
    /// Begins a write transaction; waits for another writer as long as was configured.
    pub(crate) async fn begin(&self) -> sqlx::Result<Tx> {
        match self {
            Database::Sqlite(file) => Ok(Tx::Sqlite(file.writer.begin_with("BEGIN IMMEDIATE").await?)),
            Database::Postgres(server) => server.begin_writing(false).await,
        }
    }

    /// The same, of one that computes nothing while it writes: on a server one that stalls is soon ended.
    pub(crate) async fn begin_briefly(&self) -> sqlx::Result<Tx> {
        match self {
            Database::Sqlite(_) => self.begin().await,
            Database::Postgres(server) => server.begin_writing(true).await,
        }
    }

    /// The aggregate that makes a JSON array of a column's values, as text.
    pub(crate) fn json_array_of(&self, column: &str) -> String {
        match self {
            Database::Sqlite(_) => format!("json_group_array({column})"),
            Database::Postgres(_) => format!("CAST(json_agg({column}) AS TEXT)"),
        }
    }

    /// Begins a transaction in which several statements read the same state.
    pub(crate) async fn begin_reading(&self) -> sqlx::Result<Tx> {
        match self {
            Database::Sqlite(file) => Ok(Tx::Sqlite(file.reader.begin().await?)),
            Database::Postgres(server) => server.begin_reading().await,
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Database::Sqlite(file) => {
                file.reader.close().await;
                // The last connection moves the WAL into the file.
                file.writer.close().await;
            }
            Database::Postgres(server) => server.close().await,
        }
    }
}
