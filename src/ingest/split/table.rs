//! Rows of CSV and TSV: a header, quoted line ends, empty rows left out.

use std::io::{self, Read};

use super::boundary::RowEnd;
use super::{Extent, Limits, Mode, OpenError, Piece, Place, Reason, Refusal, Splitter, Table};
use crate::ingest::window::Window;

/// A row may end in CR LF: they do not count against the record's limit.
const ROW_END: usize = 2;

/// Reads the header: the first row that is not empty.
pub(super) fn read_header<R: Read>(
    window: &mut Window<R>,
    delimiter: u8,
    terminator: u8,
    limits: Limits,
) -> Result<Table, OpenError> {
    window.skip_while(|byte| byte.is_ascii_whitespace() && byte != delimiter);
    let quotes = delimiter != b'\t';
    let mut end = RowEnd::new(delimiter, terminator, quotes);
    let header = match window.find(&mut end, limits.record_bytes) {
        Extent::Pending(size) => {
            let row = window.take(size);
            without_line_end(&row, terminator).to_vec()
        }
        Extent::Oversized(_) => {
            return Err(Refusal::new("record_too_large", "the header is larger than a record may be").into());
        }
    };
    if window.is_exhausted()
        && let Some(error) = window.take_damage()
    {
        return Err(super::unopened(error));
    }
    if std::str::from_utf8(&header).is_err() {
        return Err(Refusal::new("encoding", "the header is not UTF-8")
            .hint("convert it, if it is Western European: iconv -f WINDOWS-1252 -t UTF-8 FILE > FILE.utf8")
            .into());
    }
    Ok(Table { header, delimiter, terminator, quotes })
}

/// What became of the bytes up to a row's end.
enum Row {
    Record,
    /// Nothing in it, or the header once more.
    Empty,
    /// A quote that never closes: only the first line is rejected.
    UnclosedQuote(usize),
    /// The stream ends within the row.
    Cut,
}

impl<R: Read> Splitter<R> {
    pub(super) fn next_row(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if !self.window.skip_while(|byte| matches!(byte, b'\r' | b'\n')) {
                return self.end(None);
            }
            let place = self.here();
            let Mode::Table(table) = &self.mode else { return Ok(None) };
            let terminator = table.terminator;
            let mut end = RowEnd::new(table.delimiter, terminator, table.quotes);
            let size = match self.window.find(&mut end, self.limits.record_bytes + ROW_END) {
                Extent::Pending(size) => size,
                Extent::Oversized(size) => return self.too_large(place, size),
            };
            match self.judge_row(size, &end) {
                Row::Empty => self.window.consume(size),
                Row::UnclosedQuote(line) => return self.reject_quote(place, line),
                Row::Cut => {
                    let bytes = self.window.take(size);
                    return self.end(Some((place, bytes)));
                }
                Row::Record => {
                    let bytes = self.window.take(size);
                    return self.record(place, without_line_end(&bytes, terminator).to_vec());
                }
            }
        }
    }

    fn judge_row(&self, size: usize, end: &RowEnd) -> Row {
        let Mode::Table(table) = &self.mode else { return Row::Empty };
        let bytes = self.window.pending().get(..size).unwrap_or_default();
        let row = without_line_end(bytes, table.terminator);
        let is_terminated = bytes.last() == Some(&table.terminator) && !end.is_quoted();
        if !is_terminated {
            if end.is_quoted() && !self.window.is_damaged() {
                // The last line of all may simply be cut off; an earlier one has a quote too many.
                return match memchr::memchr(table.terminator, bytes) {
                    Some(position) => Row::UnclosedQuote(position + 1),
                    None => Row::Cut,
                };
            }
            if self.window.is_damaged() || columns(row, table) < least_columns(table) {
                return Row::Cut;
            }
        }
        let is_blank = |&byte: &u8| byte == table.delimiter || byte == b'"' || byte.is_ascii_whitespace();
        if row.iter().all(is_blank) || row == table.header { Row::Empty } else { Row::Record }
    }

    fn reject_quote(&mut self, place: Place, line: usize) -> io::Result<Option<Piece>> {
        let bytes = self.window.take(line);
        if let Mode::Table(table) = &mut self.mode {
            table.quotes = false;
        }
        let detail = "a quote opens a field that never closes; from here on every line is a row of its own";
        self.problem(place, Reason::UnclosedQuote, detail, Some(bytes))
    }
}

/// Columns that a whole row has at least: a header that ends in a delimiter may have one more than its rows.
fn least_columns(table: &Table) -> usize {
    let in_header = columns(&table.header, table);
    if table.header.last() == Some(&table.delimiter) { in_header - 1 } else { in_header }
}

fn columns(row: &[u8], table: &Table) -> usize {
    let mut quoted = false;
    let separates = |&&byte: &&u8| {
        quoted ^= table.quotes && byte == b'"';
        !quoted && byte == table.delimiter
    };
    row.iter().filter(separates).count() + 1
}

fn without_line_end(row: &[u8], terminator: u8) -> &[u8] {
    let row = row.strip_suffix(&[terminator]).unwrap_or(row);
    if terminator == b'\n' { row.strip_suffix(b"\r").unwrap_or(row) } else { row }
}
