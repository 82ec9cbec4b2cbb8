//! A Parquet file as the table that it holds: header and rows as CSV, a row group at a time.
//!
//! A null is an empty cell. Numbers, days and instants are written plainly; columns of lists and structures are left
//! out.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Days, NaiveDate};
use polars_arrow::array::{Array, BinaryViewArray, BooleanArray, PrimitiveArray, StaticArray, Utf8ViewArray};
use polars_arrow::datatypes::{ArrowDataType, Field, TimeUnit};
use polars_arrow::types::NativeType;
use polars_parquet::parquet::metadata::ColumnChunkMetadata;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::read::{
    _read_metadata, BasicDecompressor, FileMetadata, PageReader, column_iter_to_arrays, infer_schema,
};

use super::cells::{self, hand_out, write_row};
use super::input::StreamError;

/// The first bytes of the format.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// A row group is held in memory; writers cut theirs at a million rows.
const LARGEST_GROUP_ROWS: usize = 16 << 20;
const LARGEST_PAGE_BYTES: usize = 256 << 20;

/// Text that is put together at a time.
const TEXT_BYTES: usize = 256 << 10;

/// The rows of one file as text.
pub(super) struct ParquetText {
    file: File,
    size: u64,
    metadata: FileMetadata,
    fields: Vec<Field>,
    /// The next row group, and the one that is being written with its next row.
    next_group: usize,
    columns: Vec<Box<dyn Array>>,
    row: usize,
    rows: usize,
    text: Vec<u8>,
    taken: usize,
    /// Follows the bytes taken from the disk.
    position: Arc<AtomicU64>,
}

fn broken(detail: impl std::fmt::Display) -> io::Error {
    io::Error::other(StreamError::Table { what: "Parquet file", detail: detail.to_string() })
}

fn disk(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), StreamError::Disk(error))
}

fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    cells::guarded(read, || broken("its pages contradict each other"))
}

impl ParquetText {
    /// Reads the footer; the header line is the first text.
    pub(super) fn open(mut file: File, position: Arc<AtomicU64>) -> io::Result<ParquetText> {
        let size = file.metadata()?.len();
        let (metadata, fields) = guarded(|| {
            let metadata = _read_metadata(&mut file).map_err(broken)?;
            let schema = infer_schema(&metadata).map_err(broken)?;
            Ok((metadata, schema.iter_values().filter_map(flat).collect::<Vec<Field>>()))
        })?;
        let mut text = Vec::new();
        write_row(&mut text, fields.iter().map(|field| Some(field.name.to_string())));
        Ok(ParquetText {
            file,
            size,
            metadata,
            fields,
            next_group: 0,
            columns: Vec::new(),
            row: 0,
            rows: 0,
            text,
            taken: 0,
            position,
        })
    }

    /// Goes on to the next row group; false when there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(group) = self.metadata.row_groups.get(self.next_group) else {
            let counted = self.position.load(Ordering::Relaxed);
            self.position.store(counted.max(self.size), Ordering::Relaxed);
            return Ok(false);
        };
        if group.num_rows() > LARGEST_GROUP_ROWS {
            return Err(broken(format!("a row group of {} rows is too large to be read", group.num_rows())));
        }
        let (file, size) = (&mut self.file, self.size);
        let mut read = |field: &Field| -> io::Result<Box<dyn Array>> {
            let (mut pages, mut types) = (Vec::new(), Vec::new());
            for column in group.columns_under_root_iter(&field.name).into_iter().flatten() {
                let place = column.byte_range();
                if place.end > size || place.start > place.end {
                    return Err(broken("it ends before its pages do"));
                }
                let mut bytes = vec![0; (place.end - place.start) as usize];
                file.seek(SeekFrom::Start(place.start)).map_err(disk)?;
                file.read_exact(&mut bytes).map_err(disk)?;
                self.position.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let reader =
                    PageReader::new(Cursor::new(bytes.into()), column, Vec::new(), LARGEST_PAGE_BYTES);
                let reader = guarded(|| with_checked_claims(reader, column, group.num_rows()))?;
                pages.push(BasicDecompressor::new(reader, Vec::new()));
                types.push(&column.descriptor().descriptor.primitive_type);
            }
            let (mut arrays, _) =
                guarded(|| column_iter_to_arrays(pages, types, field.clone(), None).map_err(broken))?;
            match (arrays.pop(), arrays.is_empty()) {
                (Some(array), true) if array.len() == group.num_rows() => Ok(array),
                _ => Err(broken(format!("its column {} has not as many rows as the others", field.name))),
            }
        };
        self.columns = self.fields.iter().map(&mut read).collect::<io::Result<_>>()?;
        self.rows = group.num_rows();
        self.row = 0;
        self.next_group += 1;
        Ok(true)
    }

    fn write_rows(&mut self) {
        self.text.clear();
        self.taken = 0;
        while self.row < self.rows && self.text.len() < TEXT_BYTES {
            let row = self.row;
            let cells = self.columns.iter().zip(&self.fields);
            write_row(&mut self.text, cells.map(|(column, field)| cell(column.as_ref(), &field.dtype, row)));
            self.row += 1;
        }
    }
}

/// The same pages, from the first one on. Refuses those that claim more values than the row group has rows: memory would be
/// set aside for them, and a process that gets none ends there.
fn with_checked_claims(
    mut pages: PageReader,
    column: &ColumnChunkMetadata,
    rows: usize,
) -> io::Result<PageReader> {
    let is_possible = |values: usize| values <= rows;
    let mut all = usize::try_from(column.num_values()).is_ok_and(is_possible);
    for page in pages.by_ref() {
        if let CompressedPage::Data(page) = page.map_err(broken)? {
            all &= is_possible(page.num_values());
        }
    }
    if !all {
        return Err(broken("its pages claim more values than there are rows"));
    }
    let (mut bytes, scratch) = pages.into_inner();
    bytes.set_position(0);
    Ok(PageReader::new(bytes, column, scratch, LARGEST_PAGE_BYTES))
}

impl Read for ParquetText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() {
            if self.row == self.rows && !self.advance()? {
                return Ok(0);
            }
            self.write_rows();
        }
        Ok(hand_out(&self.text, &mut self.taken, buffer))
    }
}

/// The field as it is read: words of a dictionary as text; null for lists and structures.
fn flat(field: &Field) -> Option<Field> {
    use ArrowDataType as T;
    let dtype = match &field.dtype {
        T::Dictionary(_, values, _) => values.as_ref().clone(),
        own => own.clone(),
    };
    let dtype = match dtype {
        T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8View,
        T::Binary | T::LargeBinary | T::BinaryView => T::BinaryView,
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::UInt8
        | T::UInt16
        | T::UInt32
        | T::UInt64
        | T::Float32
        | T::Float64
        | T::Timestamp(..)
        | T::Date32
        | T::Decimal(..) => dtype,
        _ => return None,
    };
    Some(Field::new(field.name.clone(), dtype, field.is_nullable))
}

/// One value as text; null where there is none, or none that is text.
fn cell(column: &dyn Array, dtype: &ArrowDataType, row: usize) -> Option<String> {
    use ArrowDataType as T;
    if column.is_null(row) {
        return None;
    }
    match dtype {
        T::Utf8View => column.as_any().downcast_ref::<Utf8ViewArray>()?.get(row).map(str::to_owned),
        T::BinaryView => {
            let bytes = column.as_any().downcast_ref::<BinaryViewArray>()?.get(row)?;
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        }
        T::Boolean => column.as_any().downcast_ref::<BooleanArray>()?.get(row).map(|value| value.to_string()),
        T::Int8 => number::<i8>(column, row).map(|value| value.to_string()),
        T::Int16 => number::<i16>(column, row).map(|value| value.to_string()),
        T::Int32 => number::<i32>(column, row).map(|value| value.to_string()),
        T::Int64 => number::<i64>(column, row).map(|value| value.to_string()),
        T::UInt8 => number::<u8>(column, row).map(|value| value.to_string()),
        T::UInt16 => number::<u16>(column, row).map(|value| value.to_string()),
        T::UInt32 => number::<u32>(column, row).map(|value| value.to_string()),
        T::UInt64 => number::<u64>(column, row).map(|value| value.to_string()),
        T::Float32 => {
            number::<f32>(column, row).filter(|value| value.is_finite()).map(|value| value.to_string())
        }
        T::Float64 => {
            number::<f64>(column, row).filter(|value| value.is_finite()).map(|value| value.to_string())
        }
        T::Decimal(_, scale) => number::<i128>(column, row).map(|value| decimal(value, *scale)),
        T::Date32 => {
            let days = number::<i32>(column, row)?;
            let epoch = NaiveDate::default();
            let day = match u64::try_from(days) {
                Ok(days) => epoch.checked_add_days(Days::new(days)),
                Err(_) => epoch.checked_sub_days(Days::new(u64::from(days.unsigned_abs()))),
            };
            day.map(|day| day.to_string())
        }
        T::Timestamp(unit, zone) => instant(number::<i64>(column, row)?, *unit, zone.is_some()),
        _ => None,
    }
}

fn number<T: NativeType>(column: &dyn Array, row: usize) -> Option<T> {
    column.as_any().downcast_ref::<PrimitiveArray<T>>()?.get(row)
}

fn decimal(value: i128, scale: usize) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, decimals) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") }
}

/// An instant with its `Z`; a time of day that no zone is known of is written without.
fn instant(value: i64, unit: TimeUnit, has_zone: bool) -> Option<String> {
    let at = match unit {
        TimeUnit::Second => DateTime::from_timestamp(value, 0)?,
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(value)?,
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(value)?,
        TimeUnit::Nanosecond => DateTime::from_timestamp_nanos(value),
    };
    let text = at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    Some(if has_zone { text } else { text.trim_end_matches('Z').to_owned() })
}

#[cfg(test)]
mod tests;
