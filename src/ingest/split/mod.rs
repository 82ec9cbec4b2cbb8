//! One stream to records: exact bytes, and the place where each begins. Memory is bounded by the largest record.
//!
//! What cannot be a record is a [`Problem`] with its place, and the records behind it go on.

mod boundary;
mod json;
mod page;
mod table;

use std::io::{self, Read};

use super::input::{self, StreamError, binary_size, is_trailing};
use super::sniff::{self, HEAD_SIZE, Layout, Refusal};
use super::window::{Extent, Window};
use crate::model::words;

pub(super) use super::window::Boundary;
pub(super) use boundary::ContainerEnd;

/// Where a record begins. Lines count from 1, offsets and ordinals from 0, all in the decompressed stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// How many pieces of the file come before this one.
    pub ordinal: u64,
    pub line: u64,
    pub offset: u64,
}

/// One record of a file, or what stands in the place of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    pub place: Place,
    pub content: Content,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// The record's own bytes, without the white space around it; a table's rows come without the header, a page
    /// comes as it is.
    Record(Vec<u8>),
    Problem(Problem),
}

/// Bytes that are no record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub reason: Reason,
    pub detail: String,
    /// Null where they are more than the limit, or where there are none.
    pub bytes: Option<Vec<u8>>,
    /// Nothing can follow: the stream itself is cut off or damaged.
    pub ends_file: bool,
}

/// Why bytes of a file did not land as a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    InvalidJson,
    /// A comma too many or too few between the values of an array.
    BrokenArray,
    InvalidCsv,
    InvalidUtf8,
    Truncated,
    CorruptStream,
    OutputTooLarge,
    RecordTooLarge,
    UnclosedQuote,
    TimeMissing,
    InvalidTime,
    TooDeep,
}

words!(Reason {
    InvalidJson = "invalid_json",
    BrokenArray = "broken_array",
    InvalidCsv = "invalid_csv",
    InvalidUtf8 = "invalid_utf8",
    Truncated = "truncated",
    CorruptStream = "corrupt_stream",
    OutputTooLarge = "output_too_large",
    RecordTooLarge = "record_too_large",
    UnclosedQuote = "unclosed_quote",
    TimeMissing = "time_missing",
    InvalidTime = "invalid_time",
    TooDeep = "too_deep",
});

/// How much is held in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the largest record that is read.
    pub record_bytes: usize,
    /// Bytes asked of the stream at a time; never changes what is read.
    pub read_size: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { record_bytes: 64 << 20, read_size: 256 << 10 }
    }
}

/// Why a stream gives no records at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("cannot read the file")]
    Disk(#[source] io::Error),
}

/// The header of a table and what its rows are held against.
#[derive(Debug)]
struct Table {
    header: Vec<u8>,
    delimiter: u8,
    terminator: u8,
    /// A quote opens a field that may span lines: in CSV, until one is found that never closes. In TSV a quote
    /// is a character like any other.
    quotes: bool,
}

#[derive(Debug)]
enum Mode {
    JsonLines,
    /// `before`: what stands before the place where the reading is; of use in an array.
    JsonValues {
        in_array: bool,
        before: Before,
    },
    Table(Table),
    Page,
}

/// What stands before a place between two values.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// The beginning, or what was named as a fault already.
    Nothing,
    Value,
    /// A comma with a value before it.
    Comma(Place),
}

/// Splits one stream.
pub struct Splitter<R> {
    window: Window<R>,
    limits: Limits,
    mode: Mode,
    ordinal: u64,
    /// A missing comma of this array was named: who forgets one forgets all of them.
    comma_told: bool,
    finished: bool,
}

impl<R: Read> Splitter<R> {
    /// Recognises the layout of `source` from its beginning.
    ///
    /// Errors: `Refused` for what is not text in a known layout, `Disk` when the file itself cannot be read.
    pub fn open(source: R, limits: Limits) -> Result<Splitter<R>, OpenError> {
        let mut window = Window::new(source, limits.read_size);
        window.fill_to(HEAD_SIZE);
        window.consume(sniff::bom_size(window.pending()));
        if window.pending().is_empty()
            && let Some(error) = window.take_damage()
        {
            return Err(unopened(error));
        }
        let mode = match sniff::layout(window.pending(), window.has_ended())? {
            Layout::JsonLines => Mode::JsonLines,
            Layout::JsonValues => Mode::JsonValues { in_array: false, before: Before::Nothing },
            Layout::Page => Mode::Page,
            Layout::Table { delimiter, terminator } => {
                window.set_terminator(terminator);
                Mode::Table(table::read_header(&mut window, delimiter, terminator, limits)?)
            }
        };
        Ok(Splitter { window, limits, mode, ordinal: 0, comma_told: false, finished: false })
    }

    /// What separates the columns, and the header without its line end; null for JSON and pages.
    pub fn table(&self) -> Option<(u8, &[u8])> {
        match &self.mode {
            Mode::Table(table) => Some((table.delimiter, &table.header)),
            _ => None,
        }
    }

    /// True for an HTML page, which is one record.
    pub fn is_page(&self) -> bool {
        matches!(self.mode, Mode::Page)
    }

    /// The next record or problem; null at the end. Errors: the file itself cannot be read any further.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        if self.finished {
            return Ok(None);
        }
        let piece = match self.mode {
            Mode::JsonLines => self.next_line(),
            Mode::JsonValues { .. } => self.next_value(),
            Mode::Table(_) => self.next_row(),
            Mode::Page => self.whole_page(),
        }?;
        self.ordinal += u64::from(piece.is_some());
        Ok(piece)
    }

    fn here(&self) -> Place {
        Place { ordinal: self.ordinal, line: self.window.line(), offset: self.window.offset() }
    }

    fn record(&mut self, place: Place, bytes: Vec<u8>) -> io::Result<Option<Piece>> {
        Ok(Some(Piece { place, content: Content::Record(bytes) }))
    }

    fn problem(
        &mut self,
        place: Place,
        reason: Reason,
        detail: impl Into<String>,
        bytes: Option<Vec<u8>>,
    ) -> io::Result<Option<Piece>> {
        let problem = Problem { reason, detail: detail.into(), bytes, ends_file: self.finished };
        Ok(Some(Piece { place, content: Content::Problem(problem) }))
    }

    fn too_large(&mut self, place: Place, size: u64) -> io::Result<Option<Piece>> {
        let limit = self.limits.record_bytes;
        let detail = format!("a record of {size} bytes; the limit is {}", binary_size(limit as u64));
        self.problem(place, Reason::RecordTooLarge, detail, None)
    }

    /// The end of the stream, with the beginning of a record that has no end.
    fn end(&mut self, partial: Option<(Place, Vec<u8>)>) -> io::Result<Option<Piece>> {
        self.finished = true;
        let open_array = matches!(self.mode, Mode::JsonValues { in_array: true, .. });
        let cut = match partial {
            Some(_) => Some("the file ends inside a record"),
            None => open_array.then_some("the file ends before its array is closed"),
        };
        let (reason, detail) = match (self.window.take_damage(), cut) {
            (Some(error), Some(cut)) if is_trailing(&error) => (Reason::Truncated, format!("{cut}; {error}")),
            (Some(error), _) => explain(error)?,
            (None, Some(cut)) => (Reason::Truncated, cut.to_owned()),
            (None, None) => return Ok(None),
        };
        let (place, bytes) = match partial {
            Some((place, bytes)) => (place, Some(bytes)),
            None => (self.here(), None),
        };
        self.problem(place, reason, detail, bytes)
    }
}

/// Why a stream that gave only this error cannot be opened: the same as if its file could not be.
fn unopened(error: io::Error) -> OpenError {
    if let Some(refusal) = input::refusal(&error) {
        return OpenError::Refused(refusal);
    }
    match explain(error) {
        Ok((reason, detail)) => OpenError::Refused(Refusal::new(reason.as_str(), detail)),
        Err(error) => OpenError::Disk(error),
    }
}

/// What a decoder's complaint means; errors of the disk are passed on.
fn explain(error: io::Error) -> io::Result<(Reason, String)> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<StreamError>()) {
        Some(StreamError::Disk(_)) => Err(error),
        Some(StreamError::Trailing { .. }) => Ok((Reason::CorruptStream, error.to_string())),
        Some(StreamError::Table { .. } | StreamError::Archive) => {
            Ok((Reason::CorruptStream, error.to_string()))
        }
        Some(StreamError::Cap(_)) => Ok((Reason::OutputTooLarge, error.to_string())),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok((Reason::Truncated, "the compressed stream ends early".to_owned()))
        }
        None => Ok((Reason::CorruptStream, format!("the compressed stream is damaged: {error}"))),
    }
}

#[cfg(test)]
mod tests;
