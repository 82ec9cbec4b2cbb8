//! Many rows in few statements: SQLite's cost is per statement, not per row.

use futures_util::future::join;
use sqlx::{QueryBuilder, Sqlite};

use super::{Result, Tx};

/// Rows of one statement. Enough that the cost of a statement is spread thin, and one text for all full chunks, which
/// SQLite therefore parses once per connection; only the rest of a batch is a text of its own.
const CHUNK: usize = 100;

/// Inserts `rows` in chunks; answers how many rows were written.
///
/// `into` is a table with its columns (`t (a, b)`), `tail` what follows the values (` ON CONFLICT …`); `bind` pushes
/// one row's values in column order.
///
/// Errors: a refused row. Rows before it stay until the transaction ends, which has to be given up then: where no foreign
/// key needs it, `OR FAIL` spares SQLite the copy of every touched page with which it could take back one statement.
pub(super) async fn insert<T>(
    tx: &mut Tx,
    into: &str,
    tail: &'static str,
    rows: &[T],
    mut bind: impl for<'q> FnMut(&mut sqlx::query_builder::Separated<'_, Sqlite, &'static str>, &'q T),
) -> Result<u64> {
    let mut statement = |chunk: &[T]| {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT OR FAIL INTO ");
        query.push(into).push(" ");
        query.push_values(chunk, |mut values, row| bind(&mut values, row));
        query.push(tail);
        query
    };
    let mut chunks = rows.chunks(CHUNK);
    let mut next = chunks.next().map(|chunk| (statement(chunk), chunk.len()));
    let mut written = 0;
    while let Some((mut query, rows)) = next {
        let execute = query.build().persistent(rows == CHUNK).execute(&mut **tx);
        // While SQLite's thread inserts a chunk, the next one is put together.
        let (done, following) =
            join(execute, async { chunks.next().map(|chunk| (statement(chunk), chunk.len())) }).await;
        written += done?.rows_affected();
        next = following;
    }
    Ok(written)
}
