//! One table, every format: what reading commands and exports print.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::format::plain_text;
use super::markdown::escaped;
use super::table::render_table;
use crate::error::Failure;
use crate::model::Timestamp;

/// One value of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// To the second where people read it, whole for programs.
    Instant(Timestamp),
    /// Nested values; in flat formats their compact JSON text.
    Json(Value),
}

macro_rules! cell_from {
    ($($source:ty => $value:ident, $cell:expr;)+) => {
        $(impl From<$source> for Cell {
            fn from($value: $source) -> Cell { $cell }
        })+
    };
}

cell_from! {
    String => value, Cell::Text(value);
    &str => value, Cell::Text(value.to_owned());
    &String => value, Cell::Text(value.clone());
    i64 => value, Cell::Int(value);
    i32 => value, Cell::Int(value.into());
    u32 => value, Cell::Int(value.into());
    u64 => value, Cell::Int(i64::try_from(value).unwrap_or(i64::MAX));
    usize => value, Cell::Int(i64::try_from(value).unwrap_or(i64::MAX));
    bool => value, Cell::Bool(value);
    // JSON has no word for these, and a mart never means them.
    f64 => value, if value.is_finite() { Cell::Float(value) } else { Cell::Null };
    Value => value, Cell::Json(value);
    crate::model::Day => value, Cell::Text(value.to_string());
    crate::model::Asin => value, Cell::Text(value.to_string());
    crate::model::Marketplace => value, Cell::Text(value.to_string());
    crate::model::Currency => value, Cell::Text(value.to_string());
    crate::model::ProductKey => value, Cell::Text(value.to_string());
    Timestamp => value, Cell::Instant(value);
}

/// Null for the empty text with which the database says that there is none.
pub fn known(text: &str) -> Cell {
    if text.is_empty() { Cell::Null } else { text.into() }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

/// An instant for programs: RFC 3339, UTC, fractions only where there are some.
pub fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// An instant for people: the same, cut to the second.
pub fn instant_to_second(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl Cell {
    /// The value as flat text for people; null is empty.
    pub(super) fn to_spoken(&self) -> String {
        match self {
            Cell::Instant(at) => instant_to_second(*at),
            other => other.to_text(),
        }
    }

    /// The value as flat text for programs; null is empty.
    pub(super) fn to_text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Int(number) => number.to_string(),
            Cell::Float(number) => number.to_string(),
            Cell::Bool(flag) => flag.to_string(),
            Cell::Instant(at) => instant(*at),
            Cell::Json(value) => value.to_string(),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Cell::Int(_) | Cell::Float(_))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => serializer.serialize_none(),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Int(number) => serializer.serialize_i64(*number),
            Cell::Float(number) => serializer.serialize_f64(*number),
            Cell::Bool(flag) => serializer.serialize_bool(*flag),
            Cell::Instant(at) => serializer.serialize_str(&instant(*at)),
            Cell::Json(value) => value.serialize(serializer),
        }
    }
}

/// A table: rows of as many cells as there are columns.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    /// `amzctl.<command>/1`; columns are only ever added.
    pub schema: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    layout: Layout,
}

/// What a table gives up to fit a terminal, before its text columns are cut.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Layout {
    /// Columns that a narrow terminal does without, the first to go first.
    pub(super) expendable: &'static [&'static str],
    /// The text of the last column goes on in lines of its own.
    pub(super) wraps: bool,
}

impl Rows {
    pub fn new(schema: &'static str, columns: &[&'static str]) -> Rows {
        Rows { schema, columns: columns.to_vec(), rows: Vec::new(), layout: Layout::default() }
    }

    /// Columns that a table does without in a terminal too narrow for all, the first to go first.
    pub fn expendable(self, columns: &'static [&'static str]) -> Rows {
        Rows { layout: Layout { expendable: columns, ..self.layout }, ..self }
    }

    /// In a table the text of the last column goes on in further lines where it does not fit.
    pub fn wrapping(self) -> Rows {
        Rows { layout: Layout { wraps: true, ..self.layout }, ..self }
    }

    /// Adds a row; its cells are in the order of the columns.
    pub fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row of {} has a cell per column", self.schema);
        self.rows.push(row);
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Tsv,
    Markdown,
}

/// Writes the table in one format, ending with a newline.
///
/// `fields` chooses and orders the columns; `width` is the terminal's, used by `table` alone.
/// Errors: a usage failure when a field is not a column.
pub fn render(
    rows: &Rows,
    format: Format,
    fields: Option<&[String]>,
    width: usize,
) -> anyhow::Result<String> {
    let picked = pick(rows, fields)?;
    match format {
        Format::Table => {
            let cells: Vec<Vec<&Cell>> = picked.cells().collect();
            // Columns that were asked for are shown.
            let expendable = if fields.is_some() { &[] } else { rows.layout.expendable };
            let layout = Layout { expendable, ..rows.layout };
            Ok(render_table(&picked.header(), &cells, &layout, width))
        }
        Format::Json => render_json(&picked),
        Format::Ndjson => {
            let mut out = String::new();
            for object in picked.objects() {
                out.push_str(&serde_json::to_string(&object)?);
                out.push('\n');
            }
            Ok(out)
        }
        Format::Csv => render_delimited(&picked, b','),
        Format::Tsv => render_delimited(&picked, b'\t'),
        Format::Markdown => Ok(render_markdown(&picked)),
    }
}

/// Writes the first row as one `field  value` line per column; JSON values are spread over lines.
pub fn render_record(rows: &Rows, fields: Option<&[String]>) -> anyhow::Result<String> {
    let picked = pick(rows, fields)?;
    let header = picked.header();
    let widest = header.iter().map(|name| name.width()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, cell) in header.iter().zip(picked.cells().next().unwrap_or_default()) {
        let text = match cell {
            Cell::Null => "-".to_owned(),
            Cell::Json(value) => serde_json::to_string_pretty(value)?,
            other => printable(&other.to_spoken()),
        };
        let mut lines = text.lines();
        let _ =
            writeln!(out, "{}", format!("{name:widest$}  {}", lines.next().unwrap_or_default()).trim_end());
        for line in lines {
            let _ = writeln!(out, "{:widest$}  {line}", "");
        }
    }
    Ok(out)
}

/// Writes the first row as one object, with `schema` before its fields.
pub fn render_record_json(rows: &Rows, fields: Option<&[String]>) -> anyhow::Result<String> {
    let picked = pick(rows, fields)?;
    let object = picked.objects().next().map(|row| JsonRow { schema: Some(rows.schema), ..row });
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

/// The chosen columns of a table.
struct Picked<'a> {
    rows: &'a Rows,
    indexes: Vec<usize>,
}

impl Picked<'_> {
    fn header(&self) -> Vec<&'static str> {
        self.indexes.iter().map(|&index| self.rows.columns[index]).collect()
    }

    fn cells(&self) -> impl Iterator<Item = Vec<&Cell>> {
        self.rows.rows.iter().map(|row| self.indexes.iter().map(|&index| &row[index]).collect())
    }

    fn objects(&self) -> impl Iterator<Item = JsonRow<'_>> {
        self.cells().map(|cells| JsonRow { schema: None, header: self.header(), cells })
    }
}

/// One row as an object, its fields in the order of the columns.
struct JsonRow<'a> {
    /// Before the fields, where the object is the whole document.
    schema: Option<&'static str>,
    header: Vec<&'static str>,
    cells: Vec<&'a Cell>,
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(schema) = self.schema {
            map.serialize_entry("schema", schema)?;
        }
        for (name, cell) in self.header.iter().zip(&self.cells) {
            map.serialize_entry(name, cell)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct JsonDocument<'a> {
    schema: &'static str,
    rows: Vec<JsonRow<'a>>,
}

fn pick<'a>(rows: &'a Rows, fields: Option<&[String]>) -> anyhow::Result<Picked<'a>> {
    let Some(fields) = fields else {
        return Ok(Picked { rows, indexes: (0..rows.columns.len()).collect() });
    };
    let mut indexes = Vec::with_capacity(fields.len());
    for field in fields {
        let index = rows.columns.iter().position(|column| column == field).ok_or_else(|| {
            Failure::usage(format!("there is no field `{field}`"))
                .hint(format!("fields: {}", rows.columns.join(",")))
        })?;
        indexes.push(index);
    }
    Ok(Picked { rows, indexes })
}

fn render_json(picked: &Picked) -> anyhow::Result<String> {
    let document = JsonDocument { schema: picked.rows.schema, rows: picked.objects().collect() };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn render_delimited(picked: &Picked, delimiter: u8) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(picked.header())?;
    for cells in picked.cells() {
        writer.write_record(cells.into_iter().map(|cell| match cell {
            Cell::Text(text) => defused(text),
            other => other.to_text(),
        }))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error()).context("failed to write rows")?;
    Ok(String::from_utf8(bytes)?)
}

/// A text that a spreadsheet would run as a formula, or a terminal as a command, made plain text.
pub fn defused(text: &str) -> String {
    let text = plain_text(text);
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text,
    }
}

/// The text without what a terminal would act on; line breaks and tabs become spaces.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\t' => Some(' '),
            _ if c.is_control() => None,
            // Marks that reorder or hide what follows them.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
            _ => Some(c),
        })
        .collect()
}

fn render_markdown(picked: &Picked) -> String {
    let mut out = String::new();
    let header = picked.header();
    let _ = writeln!(out, "| {} |", header.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(header.len()));
    for cells in picked.cells() {
        let cells: Vec<String> = cells.into_iter().map(|cell| escaped(&cell.to_spoken())).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Rows {
        let mut rows =
            Rows::new("amzctl.sample/1", &["asin", "title", "price_minor", "share", "fresh", "tags"]);
        rows.push(vec![
            "B000000001".into(),
            "=cmd|' /C calc'!A0".into(),
            2599.into(),
            0.5.into(),
            true.into(),
            serde_json::json!(["a", "b"]).into(),
        ]);
        rows.push(vec![
            "B000000002".into(),
            "電子 \u{1b}[31mred\u{1b}[0m | \nnext".into(),
            Cell::Null,
            f64::NAN.into(),
            false.into(),
            Cell::Null,
        ]);
        rows
    }

    fn rendered(format: Format) -> String {
        render(&table(), format, None, 80).unwrap()
    }

    #[test]
    fn every_format_shows_the_same_rows() {
        assert_eq!(
            rendered(Format::Table),
            "ASIN        TITLE                    PRICE_MINOR  SHARE  FRESH  TAGS\n\
             B000000001  =cmd|' /C calc'!A0              2599    0.5  true   [\"a\",\"b\"]\n\
             B000000002  電子 [31mred[0m |  next            -      -  false  -\n"
        );
        assert_eq!(
            rendered(Format::Csv),
            "asin,title,price_minor,share,fresh,tags\n\
             B000000001,'=cmd|' /C calc'!A0,2599,0.5,true,\"[\"\"a\"\",\"\"b\"\"]\"\n\
             B000000002,\"電子 [31mred[0m | \nnext\",,,false,\n"
        );
        assert_eq!(
            rendered(Format::Markdown),
            "| asin | title | price_minor | share | fresh | tags |\n| --- | --- | --- | --- | --- | --- |\n\
             | B000000001 | =cmd\\|' /C calc'!A0 | 2599 | 0.5 | true | \\[\"a\",\"b\"\\] |\n\
             | B000000002 | 電子 \\[31mred\\[0m \\| next |  |  | false |  |\n"
        );
        assert_eq!(
            rendered(Format::Ndjson),
            "{\"asin\":\"B000000001\",\"title\":\"=cmd|' /C calc'!A0\",\"price_minor\":2599,\"share\":0.5,\"fresh\":true,\"tags\":[\"a\",\"b\"]}\n\
             {\"asin\":\"B000000002\",\"title\":\"電子 \\u001b[31mred\\u001b[0m | \\nnext\",\"price_minor\":null,\"share\":null,\"fresh\":false,\"tags\":null}\n"
        );
        assert!(rendered(Format::Tsv).starts_with("asin\ttitle\t"));
    }

    #[test]
    fn a_json_document_names_its_schema_first() {
        let text = render(&table(), Format::Json, Some(&["asin".into()]), 80).unwrap();
        assert_eq!(
            text,
            "{\n  \"schema\": \"amzctl.sample/1\",\n  \"rows\": [\n    {\n      \"asin\": \"B000000001\"\n    },\n    \
             {\n      \"asin\": \"B000000002\"\n    }\n  ]\n}\n"
        );
    }

    #[test]
    fn fields_choose_and_order_columns_and_an_unknown_one_is_refused() {
        let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let text = render(&table(), Format::Csv, Some(&fields(&["fresh", "asin"])), 80).unwrap();
        assert_eq!(text, "fresh,asin\ntrue,B000000001\nfalse,B000000002\n");
        let error = render(&table(), Format::Csv, Some(&fields(&["nope"])), 80).unwrap_err();
        assert_eq!(error.to_string(), "there is no field `nope`");
    }

    #[test]
    fn a_table_fits_the_terminal_and_numbers_stay_whole() {
        let text =
            render(&table(), Format::Table, Some(&["title".into(), "price_minor".into()]), 24).unwrap();
        assert_eq!(
            text,
            "TITLE             PRICE_MINOR\n=cmd|' /C calc'…         2599\n電子 [31mred[0m…            -\n"
        );
    }

    #[test]
    fn no_exported_text_begins_like_a_formula() {
        for text in ["=1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(defused(text), format!("'{text}"));
        }
        assert_eq!(defused("a=1"), "a=1");
        let mut rows = Rows::new("amzctl.sample/1", &["delta"]);
        rows.push(vec![Cell::Int(-5)]);
        assert_eq!(render(&rows, Format::Csv, None, 80).unwrap(), "delta\n-5\n", "numbers are untouched");
    }
}
