//! A row as either engine answers it.

use std::borrow::Cow;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgRow, PgValueRef, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Column as _, ColumnIndex, Decode, Row as _, Type, TypeInfo as _, ValueRef as _};

use super::Value;

pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value at a name or a place. Errors: no such column, or another type.
    pub(crate) fn try_get<'r, T, I>(&'r self, index: I) -> sqlx::Result<T>
    where
        T: Column<'r>,
        I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> + std::fmt::Debug,
    {
        match self {
            Row::Sqlite(row) => row.try_get(index),
            Row::Postgres(row) => {
                let value = row.try_get_raw(&index)?;
                T::of_postgres(value)
                    .map_err(|source| sqlx::Error::ColumnDecode { index: format!("{index:?}"), source })
            }
        }
    }
}

impl Row {
    /// All values, by the types that they have here.
    pub(crate) fn values(&self) -> sqlx::Result<Vec<Value<'_>>> {
        match self {
            Row::Sqlite(row) => (0..row.len()).map(|place| sqlite_value(row, place)).collect(),
            Row::Postgres(row) => (0..row.len()).map(|place| self.postgres_value(row, place)).collect(),
        }
    }

    fn postgres_value<'r>(&'r self, row: &'r PgRow, place: usize) -> sqlx::Result<Value<'r>> {
        Ok(match row.column(place).type_info().name() {
            "FLOAT8" => Value::Real(self.try_get(place)?),
            "BYTEA" => Value::Blob(self.try_get::<Option<&[u8]>, _>(place)?.map(Cow::Borrowed)),
            "INT4" | "INT8" | "BOOL" => Value::Int(self.try_get(place)?),
            _ => Value::Text(self.try_get::<Option<&str>, _>(place)?.map(Cow::Borrowed)),
        })
    }
}

/// SQLite's values have types of their own, whatever their column says.
fn sqlite_value(row: &SqliteRow, place: usize) -> sqlx::Result<Value<'_>> {
    let value = row.try_get_raw(place)?;
    Ok(match value.type_info().name() {
        "REAL" => Value::Real(row.try_get(place)?),
        "BLOB" => Value::Blob(row.try_get::<Option<&[u8]>, _>(place)?.map(Cow::Borrowed)),
        "INTEGER" => Value::Int(row.try_get(place)?),
        _ => Value::Text(row.try_get::<Option<&str>, _>(place)?.map(Cow::Borrowed)),
    })
}

/// What can be read from a column of either engine. In PostgreSQL whole numbers come in two widths and truth has a type
/// of its own; in SQLite both are integers.
pub(crate) trait Column<'r>: Decode<'r, Sqlite> + Type<Sqlite> + Send + Unpin + 'r {
    fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError>;
}

impl<'r, T: Column<'r>> Column<'r> for Option<T> {
    fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.is_null() { Ok(None) } else { T::of_postgres(value).map(Some) }
    }
}

impl<'r> Column<'r> for i64 {
    fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.type_info().name() {
            "INT4" => Ok(<i32 as Decode<Postgres>>::decode(value)?.into()),
            "BOOL" => Ok(<bool as Decode<Postgres>>::decode(value)?.into()),
            "INT8" => <i64 as Decode<Postgres>>::decode(value),
            other => Err(format!("a whole number is expected, not {other}").into()),
        }
    }
}

impl<'r> Column<'r> for i32 {
    fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(i32::try_from(i64::of_postgres(value)?)?)
    }
}

impl<'r> Column<'r> for u32 {
    fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(u32::try_from(i64::of_postgres(value)?)?)
    }
}

impl<'r> Column<'r> for bool {
    fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(i64::of_postgres(value)? != 0)
    }
}

macro_rules! same_in_both {
    ($($type:ty: $($name:literal)|+;)*) => {
        $(impl<'r> Column<'r> for $type {
            fn of_postgres(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                match value.type_info().name() {
                    $($name)|+ => <$type as Decode<Postgres>>::decode(value),
                    other => Err(format!("{} is not what is expected here", other).into()),
                }
            }
        })*
    };
}

same_in_both! {
    f64: "FLOAT8";
    String: "TEXT" | "NAME";
    &'r str: "TEXT" | "NAME";
    Vec<u8>: "BYTEA";
    &'r [u8]: "BYTEA";
}
