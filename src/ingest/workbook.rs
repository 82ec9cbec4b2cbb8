//! A workbook (XLSX) as the table that it holds: the rows of its one sheet with data as CSV.
//!
//! An empty cell and an error (`#N/A`) are an empty cell; numbers, days and times are written plainly, formulas as the
//! value they had when the workbook was saved. Rows without any cell are left out.
//!
//! The texts of a workbook are held in memory: what its archive expands to is measured before.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use calamine::{Cell, DataRef, ExcelDateTime, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};
use memchr::memmem;
use zip::ZipArchive;

use super::cells::{self, hand_out, write_row};
use super::input::{StreamError, binary_size};

/// The first bytes of the format: an archive with at least one file.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// The most columns that a sheet may have.
const COLUMNS: u32 = 16_384;
/// Text that is put together at a time, and how many such pieces may wait.
const TEXT_BYTES: usize = 256 << 10;
const WAITING_TEXTS: usize = 2;

/// The entry that every workbook has.
const PACKAGE: &str = "_rels/.rels";
/// How the name of the table of texts ends, and the shortest text in it (`<si/>`).
const TEXTS: &[u8] = b"sharedstrings.xml";
const SHORTEST_TEXT_BYTES: u64 = 5;
/// The texts are held in memory, whatever a whole file may expand to.
const LARGEST_TEXTS_BYTES: u64 = 512 << 20;
/// The beginning of an entry that is looked at.
const HEAD_BYTES: usize = 64 << 10;

type Workbook = Xlsx<BufReader<File>>;

/// A piece of text; null behind the last one.
type Message = io::Result<Option<Vec<u8>>>;

/// The rows of one workbook as text, put together on a thread of its own: its cells are only borrowed from it.
pub(super) struct WorkbookText {
    messages: Receiver<Message>,
    text: Vec<u8>,
    taken: usize,
    has_ended: bool,
}

fn broken(detail: impl std::fmt::Display) -> io::Error {
    io::Error::other(StreamError::Table { what: "workbook", detail: detail.to_string() })
}

fn unreadable(error: XlsxError) -> io::Error {
    match error {
        XlsxError::Io(error) => io::Error::new(error.kind(), StreamError::Disk(error)),
        XlsxError::FileNotFound(_) => io::Error::other(StreamError::Archive),
        XlsxError::Password => broken("it is locked with a password; save it without"),
        other => broken(other),
    }
}

fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    cells::guarded(read, || broken("its parts contradict each other"))
}

impl WorkbookText {
    /// Looks for the sheet; its first row is the first text. Errors: the archive expands to more than `cap` bytes.
    pub(super) fn open(file: File, cap: u64, position: Arc<AtomicU64>) -> io::Result<WorkbookText> {
        let size = file.metadata()?.len();
        let (mut workbook, sheet) = guarded(|| {
            measure(&file, cap)?;
            let mut workbook = Xlsx::new(BufReader::new(file)).map_err(unreadable)?;
            let sheet = only_sheet(&mut workbook)?;
            Ok((workbook, sheet))
        })?;
        let (sender, messages) = sync_channel(WAITING_TEXTS);
        thread::spawn(move || {
            let written = write_sheet(&mut workbook, &sheet, &sender);
            position.fetch_add(size, Ordering::Relaxed);
            // Nobody listens to the end of a file that was given up.
            let _ = sender.send(written.map(|()| None));
        });
        Ok(WorkbookText { messages, text: Vec::new(), taken: 0, has_ended: false })
    }
}

impl Read for WorkbookText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() {
            if self.has_ended {
                return Ok(0);
            }
            let message = self.messages.recv().unwrap_or_else(|_| Err(broken("its reading ended early")));
            match message? {
                Some(text) => (self.text, self.taken) = (text, 0),
                None => self.has_ended = true,
            }
        }
        Ok(hand_out(&self.text, &mut self.taken, buffer))
    }
}

/// Inflates everything once, holding nothing of it.
///
/// Errors: it is no workbook, it expands to more than `cap` bytes, or its table of texts claims a number for which
/// memory would be reserved. What is damaged is left to the reading.
fn measure(file: &File, cap: u64) -> io::Result<()> {
    let archive = ZipArchive::new(BufReader::new(file));
    let mut archive = archive.map_err(|error| unreadable(XlsxError::Zip(error)))?;
    let is_package = |name: &str| name.replace('\\', "/").eq_ignore_ascii_case(PACKAGE);
    if !archive.file_names().flatten().any(|name| is_package(&name)) {
        return Err(io::Error::other(StreamError::Archive));
    }
    let mut left = cap;
    for index in 0..archive.len() {
        let Ok(entry) = archive.by_index(index) else { continue };
        let has_texts =
            is_texts(entry.name_raw()) || entry.name().is_ok_and(|name| is_texts(name.as_bytes()));
        let mut inflated = Inflated::default();
        let copied = io::copy(&mut entry.take(left.saturating_add(1)), &mut inflated);
        if let Err(error) = copied
            && error.raw_os_error().is_some()
        {
            return Err(io::Error::new(error.kind(), StreamError::Disk(error)));
        }
        let rest = left.checked_sub(inflated.size);
        left = rest.ok_or_else(|| io::Error::other(StreamError::Cap(cap)))?;
        if has_texts {
            check_texts(&inflated)?;
        }
    }
    Ok(())
}

/// What an entry inflates to: its size and its beginning.
#[derive(Default)]
struct Inflated {
    size: u64,
    head: Vec<u8>,
}

impl Write for Inflated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = bytes.len().min(HEAD_BYTES - self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_texts(name: &[u8]) -> bool {
    name.to_ascii_lowercase().ends_with(TEXTS)
}

fn check_texts(texts: &Inflated) -> io::Result<()> {
    let tag = root_tag(&texts.head).filter(|tag| local_name(tag) == b"sst");
    let tag = tag.ok_or_else(|| broken("its table of texts cannot be read"))?;
    if texts.size > LARGEST_TEXTS_BYTES {
        let most = binary_size(LARGEST_TEXTS_BYTES);
        return Err(broken(format!("its texts take more than {most}, which is too much to be held")));
    }
    if claimed_texts(tag) > texts.size / SHORTEST_TEXT_BYTES {
        return Err(broken("its table of texts says a number of texts that it cannot hold"));
    }
    Ok(())
}

/// The tag that a document begins with, behind its declaration and comments; null when something else comes first.
fn root_tag(head: &[u8]) -> Option<&[u8]> {
    let mut text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    for (begin, end) in [("<?xml", "?>"), ("<!--", "-->")] {
        while let Some(behind) = text.strip_prefix(begin.as_bytes()) {
            let at = memmem::find(behind, end.as_bytes())?;
            text = behind.get(at + end.len()..)?.trim_ascii_start();
        }
    }
    let tag = text.strip_prefix(b"<")?;
    let mut quote = None;
    let end = tag.iter().position(|&byte| {
        match quote {
            Some(mark) if mark == byte => quote = None,
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            _ => {}
        }
        quote.is_none() && byte == b'>'
    })?;
    tag.get(..end)
}

/// The name of a tag without its prefix.
fn local_name(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_suffix(b"/").unwrap_or(tag);
    let name = tag.split(|byte| b" \t\r\n".contains(byte)).next().unwrap_or_default();
    name.splitn(2, |&byte| byte == b':').last().unwrap_or_default()
}

/// The largest number that a tag gives as its `uniqueCount`; that of all references (`count`) may well be larger.
fn claimed_texts(tag: &[u8]) -> u64 {
    let name = b"uniqueCount";
    let number = |at: usize| {
        let behind = tag.get(at + name.len()..).unwrap_or_default().iter();
        let value = behind.skip_while(|byte| b"=\"'+ \t\r\n".contains(byte));
        value
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    memmem::find_iter(tag, name).map(number).max().unwrap_or(0)
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

/// Sends the sheet's rows until nobody wants them any more; those before a damage are sent before its error comes.
fn write_sheet(workbook: &mut Workbook, sheet: &str, sender: &SyncSender<Message>) -> io::Result<()> {
    let mut text = Vec::new();
    let written = guarded(|| write_rows(workbook, sheet, &mut text, sender));
    // Whoever listens no more has no use for the rest.
    let _ = sender.send(Ok(Some(text)));
    written
}

/// Sends the finished rows; the last of them stay in `text`. A row that is cut off is left out.
fn write_rows(
    workbook: &mut Workbook,
    sheet: &str,
    text: &mut Vec<u8>,
    sender: &SyncSender<Message>,
) -> io::Result<()> {
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(unreadable)?;
    let (mut row, mut values) = (0, Vec::new());
    while let Some(cell) = cells.next_cell().map_err(unreadable)? {
        let (at, column) = cell.get_position();
        if at != row {
            end_row(text, &mut values);
            row = at;
            if text.len() >= TEXT_BYTES && sender.send(Ok(Some(std::mem::take(text)))).is_err() {
                return Ok(());
            }
        }
        place(&mut values, column, &cell)?;
    }
    end_row(text, &mut values);
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

/// A day, or a local date and time without a zone.
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
