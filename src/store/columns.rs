//! What a column holds, as the value it stands for. A value that no version of amzctl writes is an error that names
//! its place.

use serde::Serialize;

use super::db::Row;
use super::{Result, StoreError};
use crate::model::{ProductKey, Timestamp};

/// How grave a column with the word of a severity is: 0 is critical, 3 is low.
macro_rules! gravity {
    ($column:literal) => {
        concat!(
            "CASE ",
            $column,
            " WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END"
        )
    };
}
pub(super) use gravity;

/// The columns `marketplace` and `asin`.
pub(super) fn product_key(row: &Row, table: &'static str) -> Result<ProductKey> {
    Ok(ProductKey { marketplace: word(row, table, "marketplace")?, asin: word(row, table, "asin")? })
}

/// A text that parses into a value of the domain.
pub(super) fn word<T: std::str::FromStr>(row: &Row, table: &'static str, column: &'static str) -> Result<T> {
    parsed(row.try_get(column)?, table, column)
}

/// [`word`] of a column that may be null.
pub(super) fn known_word<T: std::str::FromStr>(
    row: &Row,
    table: &'static str,
    column: &'static str,
) -> Result<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| parsed(text, table, column)).transpose()
}

/// A text of the table's column, read apart from its row.
pub(super) fn parsed<T: std::str::FromStr>(
    text: String,
    table: &'static str,
    column: &'static str,
) -> Result<T> {
    text.parse().map_err(|_| unreadable(table, column, text))
}

/// One of a list of words.
pub(super) fn listed<T>(
    row: &Row,
    table: &'static str,
    column: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<T> {
    read_word(row.try_get(column)?, table, column, read)
}

/// [`listed`] of a column that may be null.
pub(super) fn known_listed<T>(
    row: &Row,
    table: &'static str,
    column: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| read_word(text, table, column, read)).transpose()
}

/// A word of the table's column, read apart from its row.
pub(super) fn read_word<T>(
    text: String,
    table: &'static str,
    column: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<T> {
    read(&text).ok_or_else(|| unreadable(table, column, text))
}

/// Microseconds since 1970.
pub(super) fn instant(row: &Row, table: &'static str, column: &'static str) -> Result<Timestamp> {
    at(row.try_get(column)?, table, column)
}

/// [`instant`] of a column that may be null.
pub(super) fn known_instant(
    row: &Row,
    table: &'static str,
    column: &'static str,
) -> Result<Option<Timestamp>> {
    let micros: Option<i64> = row.try_get(column)?;
    micros.map(|micros| at(micros, table, column)).transpose()
}

/// An instant of the table's column, read apart from its row.
pub(super) fn at(micros: i64, table: &'static str, column: &'static str) -> Result<Timestamp> {
    Timestamp::from_timestamp_micros(micros).ok_or_else(|| unreadable(table, column, micros.to_string()))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    row: &Row,
    table: &'static str,
    column: &'static str,
) -> Result<T> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|_| unreadable(table, column, text.to_owned()))
}

/// JSON of a value that always has one: its keys are strings.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("values of the domain have string keys")
}

pub(super) fn unreadable(table: &'static str, column: &'static str, value: String) -> StoreError {
    StoreError::Value { table, column, value }
}
