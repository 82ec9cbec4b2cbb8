//! Many rows in few statements: SQLite's cost is per statement, not per row.

use sqlx::{QueryBuilder, Sqlite};

use super::{Result, Tx};

/// SQLite's limit on bound parameters of one statement.
const MAX_PARAMETERS: usize = 32_000;

/// Inserts `rows` with as few statements as the parameter limit allows; answers how many rows were written.
///
/// `head` is `INSERT INTO t (a, b) `, `tail` what follows the values (` ON CONFLICT …`), `width` the number of
/// columns; `bind` pushes one row's values in column order.
pub(super) async fn insert<T>(
    tx: &mut Tx,
    head: &'static str,
    tail: &'static str,
    width: usize,
    rows: &[T],
    mut bind: impl for<'q> FnMut(&mut sqlx::query_builder::Separated<'_, Sqlite, &'static str>, &'q T),
) -> Result<u64> {
    let mut written = 0;
    for chunk in rows.chunks(MAX_PARAMETERS / width) {
        let mut query = QueryBuilder::<Sqlite>::new(head);
        query.push_values(chunk, |mut values, row| bind(&mut values, row));
        query.push(tail);
        written += query.build().persistent(false).execute(&mut **tx).await?.rows_affected();
    }
    Ok(written)
}
