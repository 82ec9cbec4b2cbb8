//! Tables as they are handed out, by `export` and by serve-lite: values of the database and of the lake as cells, cells as
//! text, as objects and as typed columns. Pure.

use polars::prelude::{
    AnyValue, BooleanChunked, DataFrame, Float64Chunked, Int64Chunked, IntoColumn, NewChunkedArray,
    ParquetWriter, PlSmallStr, PolarsResult, StringChunked,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::{Day, Marketplace, Timestamp};
use crate::render::rows::{Cell, defused, instant};
use crate::store::export::{Field, FieldKind};

/// The currency of the marketplace in the row's first column.
pub(crate) fn currency(fields: &[Field]) -> Field {
    match fields.first() {
        Some(Field::Text(code)) => match code.parse::<Marketplace>() {
            Ok(marketplace) => Field::Text(marketplace.currency().to_string()),
            Err(_) => Field::Null,
        },
        _ => Field::Null,
    }
}

/// A value as a cell of its kind.
pub(crate) fn cell(field: &Field, kind: FieldKind) -> Cell {
    match (field, kind) {
        (Field::Null, _) => Cell::Null,
        (Field::Int(flag), FieldKind::Bool) => Cell::Bool(*flag != 0),
        (Field::Int(micros), FieldKind::Instant) => Timestamp::from_timestamp_micros(*micros).into(),
        (Field::Int(number), _) => (*number).into(),
        (Field::Real(number), _) => (*number).into(),
        // What is stored as JSON and is none after all is shown as the text it is.
        (Field::Text(text), FieldKind::Json) => {
            serde_json::from_str(text).map_or_else(|_| Cell::Text(text.clone()), Cell::Json)
        }
        (Field::Text(text), _) => Cell::Text(text.clone()),
    }
}

/// Hands the rows of a frame on, days as dates; false when no more are wanted.
pub(crate) fn take_frame(
    frame: &DataFrame,
    names: &[&str],
    take: &mut (dyn FnMut(Vec<Field>) -> bool + Send),
) -> anyhow::Result<bool> {
    let columns: Vec<_> = names
        .iter()
        .map(|name| frame.column(if matches!(*name, "day" | "as_of") { "day_no" } else { name }))
        .collect::<Result<_, _>>()?;
    let is_day: Vec<bool> =
        names.iter().map(|name| matches!(*name, "day" | "as_of") || name.ends_with("_prev_day")).collect();
    for row in 0..frame.height() {
        let mut fields = Vec::with_capacity(columns.len());
        for (column, is_day) in columns.iter().zip(&is_day) {
            fields.push(match column.get(row)? {
                AnyValue::Int32(day_no) if *is_day => Field::Text(Day::from_no(day_no).to_string()),
                AnyValue::Int32(number) => Field::Int(number.into()),
                AnyValue::Int64(number) => Field::Int(number),
                AnyValue::Float64(number) => Field::Real(number),
                AnyValue::String(text) => Field::Text(text.to_owned()),
                _ => Field::Null,
            });
        }
        if !take(fields) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes one line of delimited text.
pub(crate) fn write_record<T: AsRef<[u8]>>(
    pending: &mut Vec<u8>,
    delimiter: u8,
    texts: &[T],
) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(pending);
    writer.write_record(texts)?;
    writer.flush()?;
    Ok(())
}

/// A cell as flat text; text that a spreadsheet would take for a formula is defused, unless it is to stay as it is.
pub(crate) fn flat(cell: Cell, raw: bool) -> String {
    match cell {
        Cell::Text(text) if !raw => defused(&text),
        Cell::Text(text) => text,
        Cell::Null => String::new(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Bool(flag) => flag.to_string(),
        Cell::Instant(at) => instant(at),
        Cell::Json(value) => value.to_string(),
    }
}

/// One row as an object, its fields in the order of the columns.
pub(crate) struct RowObject<'a> {
    pub(crate) columns: &'a [(String, FieldKind)],
    pub(crate) cells: &'a [Cell],
}

impl Serialize for RowObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for ((name, _), cell) in self.columns.iter().zip(self.cells) {
            map.serialize_entry(name, cell)?;
        }
        map.end()
    }
}

/// Rows as typed columns; nested values are their JSON text.
pub(crate) fn frame(columns: &[(String, FieldKind)], rows: &[Vec<Cell>]) -> PolarsResult<DataFrame> {
    let made = columns.iter().enumerate().map(|(index, (name, kind))| {
        let cells = rows.iter().map(|row| &row[index]);
        let name = PlSmallStr::from_str(name);
        match kind {
            FieldKind::Int => {
                let number = |cell: &Cell| if let Cell::Int(number) = cell { Some(*number) } else { None };
                Int64Chunked::from_iter_options(name, cells.map(number)).into_column()
            }
            FieldKind::Real => {
                let number = |cell: &Cell| if let Cell::Float(number) = cell { Some(*number) } else { None };
                Float64Chunked::from_iter_options(name, cells.map(number)).into_column()
            }
            FieldKind::Bool => {
                let flag = |cell: &Cell| if let Cell::Bool(flag) = cell { Some(*flag) } else { None };
                BooleanChunked::from_iter_options(name, cells.map(flag)).into_column()
            }
            FieldKind::Text | FieldKind::Instant | FieldKind::Json => {
                let text =
                    |cell: &Cell| if *cell == Cell::Null { None } else { Some(flat(cell.clone(), true)) };
                StringChunked::from_iter_options(name, cells.map(text)).into_column()
            }
        }
    });
    DataFrame::new(rows.len(), made.collect())
}

/// A whole table as a Parquet file.
pub(crate) fn parquet(columns: &[(String, FieldKind)], rows: &[Vec<Cell>]) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame(columns, rows)?)?;
    Ok(bytes)
}
