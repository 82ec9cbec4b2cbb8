//! A workbook (XLSX) as the table that it holds: the rows of its one sheet with data as CSV.
//!
//! An empty cell and an error (`#N/A`) are an empty cell; numbers, days and times are written plainly, formulas as the
//! value they had when the workbook was saved. Rows without any cell are left out.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use calamine::{Cell, DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};

use super::cells::write_row;
use super::input::StreamError;

/// The first bytes of the format: an archive with at least one file.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// The most columns that a sheet may have.
const COLUMNS: u32 = 16_384;
/// Text that is put together at a time, and how many such pieces may wait.
const TEXT_BYTES: usize = 256 << 10;
const WAITING_TEXTS: usize = 2;

type Workbook = Xlsx<BufReader<File>>;

/// The rows of one workbook as text, put together on a thread of its own: its cells are only borrowed from it.
pub(super) struct WorkbookText {
    texts: Receiver<io::Result<Vec<u8>>>,
    text: Vec<u8>,
    taken: usize,
}

fn broken(detail: impl std::fmt::Display) -> io::Error {
    io::Error::other(StreamError::Table { what: "workbook", detail: detail.to_string() })
}

fn unreadable(error: XlsxError) -> io::Error {
    match error {
        XlsxError::Io(error) => io::Error::new(error.kind(), StreamError::Disk(error)),
        XlsxError::FileNotFound(_) => broken("it is an archive (ZIP) of something else; unpack it"),
        XlsxError::Password => broken("it is locked with a password; save it without"),
        other => broken(other),
    }
}

impl WorkbookText {
    /// Looks for the sheet; its first row is the first text.
    pub(super) fn open(file: File, position: Arc<AtomicU64>) -> io::Result<WorkbookText> {
        let size = file.metadata()?.len();
        let mut workbook = Xlsx::new(BufReader::new(file)).map_err(unreadable)?;
        let sheet = only_sheet(&mut workbook)?;
        let (sender, texts) = sync_channel(WAITING_TEXTS);
        thread::spawn(move || {
            if let Err(error) = write_sheet(&mut workbook, &sheet, &sender) {
                // Nobody listens to the end of a file that was given up.
                let _ = sender.send(Err(error));
            }
            position.fetch_add(size, Ordering::Relaxed);
        });
        Ok(WorkbookText { texts, text: Vec::new(), taken: 0 })
    }
}

impl Read for WorkbookText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() {
            let Ok(text) = self.texts.recv() else { return Ok(0) };
            (self.text, self.taken) = (text?, 0);
        }
        let rest = self.text.get(self.taken..).unwrap_or_default();
        let size = rest.len().min(buffer.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..size), rest.get(..size)) {
            target.copy_from_slice(source);
        }
        self.taken += size;
        Ok(size)
    }
}

/// The name of the only visible sheet that has cells.
///
/// Errors: there are several, of which one would be read and the others lost.
fn only_sheet(workbook: &mut Workbook) -> io::Result<String> {
    let sheets = workbook.sheets_metadata().iter();
    let sheets =
        sheets.filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible);
    let sheets: Vec<String> = sheets.map(|sheet| sheet.name.clone()).collect();
    let mut filled = Vec::new();
    for name in sheets {
        let mut cells = workbook.worksheet_cells_reader(&name).map_err(unreadable)?;
        let has_cells = loop {
            match cells.next_cell().map_err(unreadable)? {
                Some(cell) if text_of(cell.get_value()).is_none() => {}
                found => break found.is_some(),
            }
        };
        if has_cells {
            filled.push(name);
        }
    }
    match filled.len() {
        0 => Err(broken("no sheet of it has any cell")),
        1 => Ok(filled.remove(0)),
        _ => {
            let names = filled.join(", ");
            Err(broken(format!(
                "several sheets of it have data ({names}); save each one as a file of its own"
            )))
        }
    }
}

/// Sends the sheet's rows until nobody wants them any more.
fn write_sheet(
    workbook: &mut Workbook,
    sheet: &str,
    sender: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(unreadable)?;
    let (mut text, mut row, mut values) = (Vec::new(), 0, Vec::new());
    while let Some(cell) = cells.next_cell().map_err(unreadable)? {
        let (at, column) = cell.get_position();
        if at != row {
            end_row(&mut text, &mut values);
            row = at;
            if text.len() >= TEXT_BYTES && sender.send(Ok(std::mem::take(&mut text))).is_err() {
                return Ok(());
            }
        }
        place(&mut values, column, &cell)?;
    }
    end_row(&mut text, &mut values);
    // Whoever listens no more has no use for the rest.
    let _ = sender.send(Ok(text));
    Ok(())
}

fn place(values: &mut Vec<Option<String>>, column: u32, cell: &Cell<DataRef<'_>>) -> io::Result<()> {
    let Some(value) = text_of(cell.get_value()) else { return Ok(()) };
    if column >= COLUMNS {
        return Err(broken("it has a cell beyond the last column"));
    }
    let column = column as usize;
    values.resize(values.len().max(column + 1), None);
    if let Some(place) = values.get_mut(column) {
        *place = Some(value);
    }
    Ok(())
}

fn end_row(text: &mut Vec<u8>, values: &mut Vec<Option<String>>) {
    if !values.is_empty() {
        write_row(text, values.drain(..));
    }
}

/// A cell as text; null for one that says nothing.
fn text_of(value: &DataRef<'_>) -> Option<String> {
    let text = match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(at) if at.is_datetime() => instant(at),
        DataRef::DateTime(duration) => duration.as_f64().to_string(),
        DataRef::Error(_) | DataRef::Empty => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A day, or a time of day that no zone is known of.
fn instant(at: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milli) = at.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second, milli) {
        (0, 0, 0, 0) => date,
        (_, _, _, 0) => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}"),
    }
}

#[cfg(test)]
mod tests;
