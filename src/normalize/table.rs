//! One row of a CSV or TSV file: the header line, a line feed, and the record's own bytes.

use std::cell::RefCell;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

thread_local! {
    /// The separators a table may have with their readers. To build a reader costs
    /// more than to read a row, and a clone of one does not work (csv-core 0.1.13).
    static READERS: RefCell<[(u8, Reader); 3]> = RefCell::new([b'\t', b';', b','].map(|delimiter| {
        // In TSV a quote is a character like any other, as the splitter of files reads it.
        let quoting = delimiter != b'\t';
        (delimiter, ReaderBuilder::new().delimiter(delimiter).quoting(quoting).build())
    }));
}

/// The names and cells of one row. Cells beyond the header are dropped if they are empty.
pub(super) struct Row {
    header: Vec<String>,
    record: Vec<String>,
}

impl Row {
    /// Reads header and record; the error says what is wrong with them.
    pub(super) fn read(text: &str) -> Result<Row, String> {
        let (header, record) = READERS.with_borrow_mut(|readers| {
            let mut lines = Lines::new(text, reader(readers, text));
            let header = lines.next()?.ok_or("no header")?;
            let record = lines.next()?.ok_or("no record after the header")?;
            match lines.next()? {
                Some(_) => Err("more than one record after the header".to_owned()),
                None => Ok((header, record)),
            }
        })?;
        if record.len() < header.len() {
            return Err(format!("{} cells for {} columns", record.len(), header.len()));
        }
        if record.iter().skip(header.len()).any(|cell| !cell.trim().is_empty()) {
            return Err(format!("{} cells for {} columns", record.len(), header.len()));
        }
        Ok(Row { header, record })
    }

    /// The folded names of the columns, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.header.iter().map(|name| folded(name))
    }

    /// Column names as written (trimmed) with their cells; columns without a name are left out.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.header.iter().map(|name| name.trim());
        names.zip(self.record.iter().map(String::as_str)).filter(|(name, _)| !name.is_empty())
    }
}

/// A column name as names are compared: lower case, single spaces, every dash a hyphen.
pub(super) fn folded(name: &str) -> String {
    let plain = name.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\u{feff}').to_lowercase();
    let dashed = plain.replace(['–', '—'], "-");
    dashed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a table's text, cut into cells.
struct Lines<'t> {
    reader: &'t mut Reader,
    rest: &'t [u8],
    /// Room for the cells of one line: they are never longer than the text.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str, reader: &'t mut Reader) -> Lines<'t> {
        reader.reset();
        // A cell ends at a separator or a line end; the last one may end with the text.
        let most =
            text.bytes().filter(|byte| matches!(byte, b',' | b';' | b'\t' | b'\n' | b'\r')).count() + 2;
        Lines { reader, rest: text.as_bytes(), cells: vec![0; text.len()], ends: vec![0; most] }
    }

    /// The next line that is not empty; null at the end.
    fn next(&mut self) -> Result<Option<Vec<String>>, String> {
        let (mut length, mut count) = (0, 0);
        loop {
            let (outcome, read, written, ended) =
                self.reader.read_record(self.rest, &mut self.cells[length..], &mut self.ends[count..]);
            self.rest = &self.rest[read..];
            length += written;
            count += ended;
            match outcome {
                // Called again with nothing left, the reader takes what it has for the last line.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err("a line is longer than its text".to_owned());
                }
            }
        }
        let mut begin = 0;
        let cells = self.ends[..count].iter().map(|&end| {
            let cell = std::str::from_utf8(&self.cells[begin..end]).map(str::to_owned);
            begin = end;
            cell.map_err(|error| error.to_string())
        });
        cells.collect::<Result<_, _>>().map(Some)
    }
}

/// The reader for the separator that the header line uses most: comma, semicolon or tab.
fn reader<'r>(readers: &'r mut [(u8, Reader); 3], text: &str) -> &'r mut Reader {
    let header = text.lines().next().unwrap_or_default();
    let count = |mark: u8| header.bytes().filter(|&byte| byte == mark).count();
    let [tab, semicolon, comma] = readers;
    let (tabs, semicolons, commas) = (count(tab.0), count(semicolon.0), count(comma.0));
    if tabs > semicolons.max(commas) {
        &mut tab.1
    } else if semicolons > commas {
        &mut semicolon.1
    } else {
        &mut comma.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Result<String, String> {
        let row = Row::read(text)?;
        Ok(row.cells().map(|(name, cell)| format!("{name}={cell}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_row_is_read_with_any_separator_and_line_end() {
        assert_eq!(cells("a,b\n1,\"x,y\""), Ok("a=1 b=x,y".to_owned()));
        assert_eq!(cells("a,b\r\n1,2\r\n"), Ok("a=1 b=2".to_owned()));
        assert_eq!(cells("a;b\n1;2"), Ok("a=1 b=2".to_owned()));
        assert_eq!(cells("a\tb\n1\t2, 3"), Ok("a=1 b=2, 3".to_owned()));
        assert_eq!(cells("a\tb\n\"\t5\""), Ok("a=\" b=5\"".to_owned()));
        assert_eq!(cells("a,b,\n1,2,"), Ok("a=1 b=2".to_owned()));
        assert_eq!(cells("a,b\n1,\"two\nlines\""), Ok("a=1 b=two\nlines".to_owned()));
    }

    #[test]
    fn a_torn_row_is_refused() {
        assert_eq!(cells("a,b\n1"), Err("1 cells for 2 columns".to_owned()));
        assert_eq!(cells("a,b\n1,2,3"), Err("3 cells for 2 columns".to_owned()));
        assert_eq!(cells("a,b\n1,2\n3,4"), Err("more than one record after the header".to_owned()));
        assert_eq!(cells("a,b"), Err("no record after the header".to_owned()));
        assert_eq!(cells(""), Err("no header".to_owned()));
    }

    #[test]
    fn column_names_are_compared_without_their_spelling() {
        assert_eq!(folded("\u{feff}\"Sessions –  Total\" "), "sessions - total");
    }
}
