//! What a file is, by its first bytes and never by its name: text or not, and which layout of records.

use super::split::{Boundary, ContainerEnd};

/// Bytes of the beginning that decide.
pub(super) const HEAD_SIZE: usize = 64 << 10;

/// How the records of a stream follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// Arrays, whose elements are the records, and values that may spread over many lines.
    JsonValues,
    /// One value a line.
    JsonLines,
    /// A header and rows; `terminator` is `\r` in files of an old kind.
    Table { delimiter: u8, terminator: u8 },
    /// An HTML page: the whole stream is one record.
    Page,
}

/// A file that cannot be read as a whole, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// `empty_file`, `binary_file`, `encoding`, `unknown_format`, `record_too_large`, `no_time`.
    pub reason: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }
}

/// First bytes of what people hand in by mistake.
const KNOWN_BINARIES: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "compressed twice (gzip inside)"),
    (b"\x28\xb5\x2f\xfd", "compressed twice (zstd inside)"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (XLSX) that is compressed once more"),
    (b"PAR1", "a Parquet file that is compressed once more"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (XLS)"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
];

/// The bytes of a byte order mark of UTF-8 at the beginning: 3 or 0.
pub(super) fn bom_size(head: &[u8]) -> usize {
    if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// Recognises the layout from the first bytes, the byte order mark left out; `whole` says that they are all.
pub(super) fn layout(head: &[u8], whole: bool) -> Result<Layout, Refusal> {
    refuse_foreign_encoding(head)?;
    refuse_binary(head)?;
    let text = head.trim_ascii_start();
    match text.first() {
        None if whole => Err(Refusal::new("empty_file", "it is empty")
            .hint("an export that failed often leaves an empty file: fetch it again")),
        None => Err(Refusal::new(
            "unknown_format",
            format!("it begins with {} blanks and nothing else", head.len()),
        )),
        Some(b'[') => Ok(Layout::JsonValues),
        Some(b'{') => Ok(object_layout(text, whole)),
        Some(b'<') if begins_page(text) => Ok(Layout::Page),
        Some(b'<') => {
            Err(Refusal::new("unknown_format", "it is markup, but neither a whole HTML page nor data")
                .hint("an error page is often saved in place of an export: fetch it again"))
        }
        Some(_) if has_object_line(text, whole) => Ok(Layout::JsonLines),
        Some(_) => table_layout(text),
    }
}

/// True for the beginning of an HTML document, with whatever comments stand before it.
fn begins_page(mut text: &[u8]) -> bool {
    while let Some(comment) = text.strip_prefix(b"<!--") {
        let Some(end) = memchr::memmem::find(comment, b"-->") else { return false };
        text = comment.get(end + b"-->".len()..).unwrap_or_default().trim_ascii_start();
    }
    [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|begin| text.get(..begin.len()).is_some_and(|own| own.eq_ignore_ascii_case(begin)))
}

fn refuse_foreign_encoding(head: &[u8]) -> Result<(), Refusal> {
    let encoding = match head {
        [0xff, 0xfe, 0, 0, ..] => "UTF-32LE",
        [0, 0, 0xfe, 0xff, ..] => "UTF-32BE",
        [0xff, 0xfe, ..] => "UTF-16LE",
        [0xfe, 0xff, ..] => "UTF-16BE",
        // Without a mark: ASCII, every other byte zero.
        [1..=127, 0, 1..=127, 0, ..] => "UTF-16LE",
        [0, 1..=127, 0, 1..=127, ..] => "UTF-16BE",
        _ => return Ok(()),
    };
    Err(Refusal::new("encoding", format!("it is {encoding}; only UTF-8 is read"))
        .hint(format!("convert it: iconv -f {encoding} -t UTF-8 FILE > FILE.utf8")))
}

fn refuse_binary(head: &[u8]) -> Result<(), Refusal> {
    if let Some((_, what)) = KNOWN_BINARIES.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(binary(what));
    }
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    let controls = head.iter().filter(is_control).count();
    // One stray control character spoils its record only; a NUL where no JSON begins, or many, are not text.
    let is_json = matches!(head.trim_ascii_start().first(), Some(b'[' | b'{'));
    if controls * 20 > head.len() || (!is_json && memchr::memchr(0, head).is_some()) {
        return Err(binary("not text (control characters in its first bytes)"));
    }
    Ok(())
}

fn binary(what: &str) -> Refusal {
    Refusal::new("binary_file", format!("it is {what}")).hint(
        "hand in JSON, NDJSON, CSV, TSV or HTML pages, plain or compressed with gzip or zstd, or Parquet or XLSX",
    )
}

/// NDJSON or not, for a text that begins with `{`: the first value decides where it can be read, else any line.
fn object_layout(text: &[u8], whole: bool) -> Layout {
    let mut end = ContainerEnd::default();
    let first = end.advance(text).and_then(|size| text.get(..size)).filter(|value| is_json(value));
    if let Some(value) = first {
        let rest = text.get(value.len()..).unwrap_or_default();
        let line_rest = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let one_line = memchr::memchr(b'\n', value).is_none() && line_rest.trim_ascii().is_empty();
        return if one_line { Layout::JsonLines } else { Layout::JsonValues };
    }
    let is_one_line = memchr::memchr(b'\n', text).is_none();
    if is_one_line || has_object_line(text, whole) { Layout::JsonLines } else { Layout::JsonValues }
}

/// True when some line is a whole JSON object from its first column on: what pretty-printed JSON does not have.
fn has_object_line(text: &[u8], whole: bool) -> bool {
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    if !whole {
        lines.pop();
    }
    lines.iter().any(|line| line.starts_with(b"{") && is_json(line))
}

/// True for one valid JSON value of any depth.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn table_layout(text: &[u8]) -> Result<Layout, Refusal> {
    let terminator = if memchr::memchr(b'\n', text).is_none() && memchr::memchr(b'\r', text).is_some() {
        b'\r'
    } else {
        b'\n'
    };
    let header = text.split(|&byte| byte == terminator).next().unwrap_or_default();
    let count = |wanted: u8| {
        let mut quoted = false;
        let outside = |&&byte: &&u8| {
            quoted ^= byte == b'"';
            !quoted && byte == wanted
        };
        header.iter().filter(outside).count()
    };
    // Of equals the last wins: commas are what a table without further evidence has.
    let separators = [b'\t', b';', b','].map(|mark| (count(mark), mark));
    match separators.into_iter().max_by_key(|(number, _)| *number) {
        Some((1.., delimiter)) => Ok(Layout::Table { delimiter, terminator }),
        _ => Err(unknown_format(text)),
    }
}

fn unknown_format(text: &[u8]) -> Refusal {
    let begins: String = String::from_utf8_lossy(text.get(..60).unwrap_or(text))
        .chars()
        .take(40)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let message = format!("neither JSON, NDJSON, CSV nor TSV: it begins with `{}`", begins.trim_end());
    Refusal::new("unknown_format", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Layout = Layout::Table { delimiter: b',', terminator: b'\n' };

    #[test]
    fn the_layout_is_recognised_by_content() {
        for (text, expected) in [
            ("[{\"a\":1}]", Layout::JsonValues),
            (" \n [1,\n2]", Layout::JsonValues),
            ("{\"a\":1}", Layout::JsonLines),
            ("{\"a\":1}\n\n{\"a\":2}\n", Layout::JsonLines),
            ("{\n  \"a\": 1\n}\n", Layout::JsonValues),
            ("{\"a\":1}{\"a\":2}", Layout::JsonValues),
            // The first line is cut off: the second one still says NDJSON.
            ("{\"a\":\"x\n{\"a\":2}\n", Layout::JsonLines),
            ("garbage\n{\"a\":2}\n", Layout::JsonLines),
            // Cut off, but the lines of an inner list do not make it NDJSON: they end in commas.
            ("{\n\"items\": [\n{\"a\":1},\n{\"a\":2},\n", Layout::JsonValues),
            ("asin,price\nB0,1\n", CSV),
            ("\"Sales Rank: Current\",\"a;b;c\"\n", CSV),
            ("asin\tprice,min\tprice\n", Layout::Table { delimiter: b'\t', terminator: b'\n' }),
            ("asin;price,min;price\n", Layout::Table { delimiter: b';', terminator: b'\n' }),
            ("\n<!DOCTYPE HTML><title>x</title>", Layout::Page),
            ("<!-- saved -->\n<!--[if IE]> x <![endif]--> <HTML lang=en>", Layout::Page),
            ("asin,price\rB0,1\r", Layout::Table { delimiter: b',', terminator: b'\r' }),
        ] {
            assert_eq!(layout(text.as_bytes(), true).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_table_of_records_is_refused_by_name() {
        for (bytes, reason, message) in [
            (&b""[..], "empty_file", "it is empty"),
            (b" \r\n ", "empty_file", "it is empty"),
            (b"\xff\xfe{\0", "encoding", "it is UTF-16LE; only UTF-8 is read"),
            (b"[\0{\0\"\0", "encoding", "it is UTF-16LE; only UTF-8 is read"),
            (b"\0{\0\"", "encoding", "it is UTF-16BE; only UTF-8 is read"),
            (
                b"PK\x03\x04zip",
                "binary_file",
                "it is a ZIP archive or a spreadsheet (XLSX) that is compressed once more",
            ),
            (b"\x1f\x8b\x08", "binary_file", "it is compressed twice (gzip inside)"),
            (b"asin,price\0", "binary_file", "it is not text (control characters in its first bytes)"),
            (
                b"<?xml version=\"1.0\"?>",
                "unknown_format",
                "it is markup, but neither a whole HTML page nor data",
            ),
            (b"<div>x</div>", "unknown_format", "it is markup, but neither a whole HTML page nor data"),
            (b"<!-- <html>", "unknown_format", "it is markup, but neither a whole HTML page nor data"),
            (
                b"Not\x1b[31m found\n",
                "unknown_format",
                "neither JSON, NDJSON, CSV nor TSV: it begins with `Not [31m found`",
            ),
        ] {
            let refusal = layout(bytes, true).unwrap_err();
            assert_eq!((refusal.reason, refusal.message.as_str()), (reason, message));
        }
    }

    #[test]
    fn one_stray_control_character_in_json_does_not_make_a_file_binary() {
        let text = format!("{{\"title\":\"{}\0\"}}\n{{\"a\":1}}\n", "x".repeat(100));
        assert_eq!(layout(text.as_bytes(), true).unwrap(), Layout::JsonLines);
    }
}
