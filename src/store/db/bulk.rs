//! Many rows in few statements: the cost is per statement, not per row.

use futures_util::future::join;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{Arguments as _, AssertSqlSafe, Postgres, SqlSafeStr as _, SqlStr, Transaction};

use super::Tx;
use super::query::{Bind, Statement, Value, add};
use crate::store::Result;

/// Rows of one statement of SQLite. Enough that the cost of a statement is spread thin, and one text for all full chunks,
/// which is therefore parsed once per connection; only the rest of a batch is a text of its own.
const CHUNK: usize = 100;
/// From so many rows on PostgreSQL is sent them by COPY.
const COPIED: usize = 20;
/// Bytes of rows that are sent to PostgreSQL at once.
const COPY_BYTES: usize = 1 << 20;

/// Takes the values of a row, in column order.
pub(crate) struct Values<'v> {
    into: Into<'v>,
    count: u16,
}

enum Into<'v> {
    Arguments(&'v mut SqliteArguments),
    Statement(&'v mut Statement),
    /// A tuple of COPY's binary format.
    Tuple(&'v mut Vec<u8>),
}

impl<'v> Values<'v> {
    pub(super) fn of_statement(statement: &'v mut Statement) -> Values<'v> {
        Values { into: Into::Statement(statement), count: 0 }
    }

    pub(crate) fn push_bind<'q>(&mut self, value: impl Bind<'q>) -> &mut Self {
        match &mut self.into {
            Into::Arguments(arguments) => add(*arguments, value.value()),
            Into::Statement(statement) => {
                if self.count > 0 {
                    statement.push(", ");
                }
                statement.push_bind(value);
            }
            Into::Tuple(tuple) => push_field(tuple, &value.value()),
        }
        self.count += 1;
        self
    }
}

/// Inserts `rows`; answers how many were written.
///
/// `into` is a table with its columns (`t (a, b)`), `tail` what follows the values (` ON CONFLICT …`); `bind` pushes
/// one row's values in column order.
///
/// Errors: a refused row. Of SQLite, rows before it stay until the transaction ends, which has to be given up then: where no
/// foreign key needs it, `OR FAIL` spares it the copy of every touched page with which it could take back one statement.
pub(crate) async fn insert<T>(
    tx: &mut Tx,
    into: &str,
    tail: &'static str,
    rows: &[T],
    bind: impl FnMut(&mut Values<'_>, &T),
) -> Result<u64> {
    match tx {
        _ if rows.is_empty() => Ok(0),
        Tx::Sqlite(tx) => Ok(insert_into_sqlite(tx, into, tail, rows, bind).await?),
        Tx::Postgres { tx, .. } if rows.len() >= COPIED => {
            Ok(copy_into_postgres(tx, into, tail, rows, bind).await?)
        }
        Tx::Postgres { .. } => {
            let mut statement = Statement::new(format!("INSERT INTO {into} "));
            statement.push_rows(rows, bind);
            statement.push(tail);
            Ok(statement.build().execute(tx).await?.rows_affected())
        }
    }
}

async fn insert_into_sqlite<T>(
    tx: &mut Transaction<'static, Sqlite>,
    into: &str,
    tail: &str,
    rows: &[T],
    mut bind: impl FnMut(&mut Values<'_>, &T),
) -> sqlx::Result<u64> {
    let mut of_full_chunks: Option<SqlStr> = None;
    let mut statement = |chunk: &[T]| {
        let mut arguments = SqliteArguments::default();
        for row in chunk {
            bind(&mut Values { into: Into::Arguments(&mut arguments), count: 0 }, row);
        }
        let columns = arguments.len() / chunk.len();
        let sql = match &of_full_chunks {
            Some(sql) if chunk.len() == CHUNK => sql.clone(),
            _ => values_text(into, tail, chunk.len(), columns),
        };
        if chunk.len() == CHUNK {
            of_full_chunks = Some(sql.clone());
        }
        sqlx::query_with::<Sqlite, _>(sql, arguments).persistent(chunk.len() == CHUNK)
    };
    let mut chunks = rows.chunks(CHUNK);
    let mut next = chunks.next().map(&mut statement);
    let mut written = 0;
    while let Some(query) = next {
        // While SQLite's thread inserts a chunk, the next one is put together.
        let following = async { chunks.next().map(&mut statement) };
        let (done, following) = join(query.execute(&mut **tx), following).await;
        written += done?.rows_affected();
        next = following;
    }
    Ok(written)
}

fn values_text(into: &str, tail: &str, rows: usize, columns: usize) -> SqlStr {
    let row = format!("({})", vec!["?"; columns].join(","));
    AssertSqlSafe(format!("INSERT OR FAIL INTO {into} VALUES {}{tail}", vec![row; rows].join(",")))
        .into_sql_str()
}

/// Rows go into the table itself, or, where one may be there already, into a table beside it and from there.
async fn copy_into_postgres<T>(
    tx: &mut Transaction<'static, Postgres>,
    into: &str,
    tail: &str,
    rows: &[T],
    bind: impl FnMut(&mut Values<'_>, &T),
) -> sqlx::Result<u64> {
    if tail.is_empty() {
        return copy(tx, &format!("COPY {into} FROM STDIN (FORMAT binary)"), rows, bind).await;
    }
    let (table, columns) = into.split_once('(').unwrap_or((into, "*"));
    let columns = columns.trim_end_matches(')');
    let beside =
        format!("CREATE TEMP TABLE bulk_rows ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA");
    execute(tx, beside).await?;
    copy(tx, "COPY bulk_rows FROM STDIN (FORMAT binary)", rows, bind).await?;
    let written = execute(tx, format!("INSERT INTO {into} SELECT * FROM bulk_rows{tail}")).await?;
    execute(tx, "DROP TABLE bulk_rows".to_owned()).await?;
    Ok(written)
}

async fn execute(tx: &mut Transaction<'static, Postgres>, sql: String) -> sqlx::Result<u64> {
    let done = sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut **tx).await?;
    Ok(done.rows_affected())
}

/// Every whole number is a BIGINT there, and every text TEXT: the binary format needs no escapes.
async fn copy<T>(
    tx: &mut Transaction<'static, Postgres>,
    statement: &str,
    rows: &[T],
    mut bind: impl FnMut(&mut Values<'_>, &T),
) -> sqlx::Result<u64> {
    let mut into = tx.copy_in_raw(statement).await?;
    // The signature, no flags, no extension.
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        let start = bytes.len();
        bytes.extend([0; 2]);
        let mut values = Values { into: Into::Tuple(&mut bytes), count: 0 };
        bind(&mut values, row);
        let count = values.count.to_be_bytes();
        bytes[start..start + 2].copy_from_slice(&count);
        if bytes.len() >= COPY_BYTES {
            into.send(bytes.as_slice()).await?;
            bytes.clear();
        }
    }
    bytes.extend((-1_i16).to_be_bytes());
    into.send(bytes).await?;
    into.finish().await
}

/// A length and as many bytes; null is a length of -1.
fn push_field(tuple: &mut Vec<u8>, value: &Value<'_>) {
    let mut push = |bytes: &[u8]| {
        tuple.extend((bytes.len() as i32).to_be_bytes());
        tuple.extend(bytes);
    };
    match value {
        Value::Int(Some(value)) => push(&value.to_be_bytes()),
        Value::Real(Some(value)) => push(&value.to_be_bytes()),
        Value::Text(Some(value)) => push(value.as_bytes()),
        Value::Word(value) => push(value.as_bytes()),
        Value::Blob(Some(value)) => push(value),
        Value::Int(None) | Value::Real(None) | Value::Text(None) | Value::Blob(None) => {
            tuple.extend((-1_i32).to_be_bytes());
        }
    }
}
