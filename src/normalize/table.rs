//! One row of a CSV or TSV file: the header line, a line feed, and the record's own bytes.

/// The names and cells of one row. Cells beyond the header are dropped if they are empty.
pub(super) struct Row {
    header: csv::StringRecord,
    record: csv::StringRecord,
}

impl Row {
    /// Reads header and record; the error says what is wrong with them.
    pub(super) fn read(text: &str) -> Result<Row, String> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(text))
            .from_reader(text.as_bytes());
        let mut records = reader.records();
        let mut next = || records.next().transpose().map_err(|error| error.to_string());
        let header = next()?.ok_or("no header")?;
        let record = next()?.ok_or("no record after the header")?;
        if next()?.is_some() {
            return Err("more than one record after the header".to_owned());
        }
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
        self.header.iter().map(folded)
    }

    /// Column names as written (trimmed) with their cells; columns without a name are left out.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header.iter().map(str::trim).zip(self.record.iter()).filter(|(name, _)| !name.is_empty())
    }
}

/// A column name as names are compared: lower case, single spaces, every dash a hyphen.
pub(super) fn folded(name: &str) -> String {
    let plain = name.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\u{feff}').to_lowercase();
    let dashed = plain.replace(['–', '—'], "-");
    dashed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The separator that the header line uses most: comma, semicolon or tab.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |mark: u8| header.bytes().filter(|&byte| byte == mark).count();
    // Of equals the last wins, so the comma stands at the end.
    [b'\t', b';', b','].into_iter().max_by_key(|&mark| count(mark)).unwrap_or(b',')
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
