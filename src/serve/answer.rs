//! What a handler answers, the forms in which it is given, and the envelope around it.

use serde_json::{Value, json};

use super::cache::{How, Kept, Served};
use super::problem::{Kind, Problem};
use crate::ids::sha256_hex;
use crate::render::rows::{Cell, Rows, instant};
use crate::stages::tables::{self, RowObject};
use crate::store::export::{Field, FieldKind};

/// Columns of a table, in order.
pub(super) type Columns = Vec<(String, FieldKind)>;

/// Digits of the hash that tags an answer.
const TAG: usize = 20;

/// What a handler answers.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Output {
    pub(super) status: u16,
    pub(super) data: Data,
    pub(super) next_cursor: Option<String>,
    /// It is what was answered before under the same idempotency key.
    pub(super) is_repeated: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Data {
    /// Many rows.
    Table(Table),
    /// One row, as an object.
    Record(Table),
    Document(Value),
    /// Text of its own form, without an envelope.
    Text {
        content_type: &'static str,
        text: String,
    },
    /// What is told while it happens.
    Events(Box<super::live::Subscription>),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Table {
    pub(super) columns: Columns,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl From<Data> for Output {
    fn from(data: Data) -> Output {
        Output { status: 200, data, next_cursor: None, is_repeated: false }
    }
}

impl From<Table> for Output {
    fn from(table: Table) -> Output {
        Data::Table(table).into()
    }
}

impl Output {
    pub(super) fn next(self, next_cursor: Option<String>) -> Output {
        Output { next_cursor, ..self }
    }
}

impl Table {
    /// A table of values as the store hands them out.
    pub(super) fn of_fields(columns: Columns, rows: Vec<Vec<Field>>) -> Table {
        let cells = |row: Vec<Field>| {
            row.iter().zip(&columns).map(|(field, (_, kind))| tables::cell(field, *kind)).collect()
        };
        let rows = rows.into_iter().map(cells).collect();
        Table { columns, rows }
    }

    /// A table that the command line prints too, with the kinds of its columns.
    pub(super) fn of_rows(columns: Columns, rows: Rows) -> Table {
        debug_assert!(
            rows.columns.iter().eq(columns.iter().map(|(name, _)| name)),
            "{}: {:?}",
            rows.schema,
            rows.columns
        );
        Table { columns, rows: rows.rows }
    }

    /// These columns, in this order. Errors: there is no such column.
    fn picked(self, fields: &str) -> Result<Table, Problem> {
        let mut places = Vec::new();
        for field in fields.split(',') {
            let place = self.columns.iter().position(|(name, _)| name == field).ok_or_else(|| {
                let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
                Problem::new(Kind::UnknownField, format!("`{field}`; there are {}", names.join(",")))
            })?;
            if places.contains(&place) {
                return Err(Problem::parameter("fields", format!("names `{field}` twice")));
            }
            places.push(place);
        }
        let rows = self.rows.iter().map(|row| places.iter().map(|place| row[*place].clone()).collect());
        let rows = rows.collect();
        Ok(Table { columns: places.iter().map(|place| self.columns[*place].clone()).collect(), rows })
    }

    fn objects(&self) -> impl Iterator<Item = RowObject<'_>> {
        self.rows.iter().map(|cells| RowObject { columns: &self.columns, cells })
    }
}

/// The kinds of columns, written down: names with commas between them, each kind by itself.
pub(super) fn columns(of: &[(&str, FieldKind)]) -> Columns {
    of.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

/// A form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Json,
    Csv,
    Ndjson,
    Parquet,
}

impl Form {
    pub(super) const ALL: [Form; 4] = [Form::Json, Form::Csv, Form::Ndjson, Form::Parquet];

    pub(super) fn word(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Csv => "csv",
            Form::Ndjson => "ndjson",
            Form::Parquet => "parquet",
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Csv => "text/csv",
            Form::Ndjson => "application/x-ndjson",
            Form::Parquet => "application/vnd.apache.parquet",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Form::Csv => "text/csv; charset=utf-8",
            form => form.media_type(),
        }
    }

    /// The form that a request asks for: by its parameter, else by what it accepts; of equals the first.
    ///
    /// Errors: none of those there are.
    pub(super) fn of_request(
        parameter: Option<&str>,
        accept: Option<&str>,
        forms: &[Form],
    ) -> Result<Form, Problem> {
        if let Some(word) = parameter {
            let form = forms.iter().copied().find(|form| form.word() == word);
            return form.ok_or_else(|| Problem::parameter("format", "is none of the words that it can be"));
        }
        let Some(accept) = accept else { return Ok(forms[0]) };
        let mut best: Option<(f32, Form)> = None;
        for form in forms {
            let quality = accepted(accept, form.media_type());
            if quality > best.map_or(0.0, |(best, _)| best) {
                best = Some((quality, *form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            let known: Vec<&str> = forms.iter().map(|form| form.media_type()).collect();
            Problem::new(Kind::NotAcceptable, format!("there are {}", known.join(", ")))
        })
    }
}

/// How much a client likes a media type, 0 to 1: by the range that names it most closely.
pub(super) fn accepted(accept: &str, media_type: &str) -> f32 {
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut best = (0, 0.0);
    for part in accept.split(',') {
        let mut words = part.split(';').map(str::trim);
        let range = words.next().unwrap_or_default();
        let closeness = match range.split_once('/') {
            _ if range.eq_ignore_ascii_case(media_type) => 3,
            Some((of, "*")) if of.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let quality =
            words.find_map(|word| word.strip_prefix("q=")?.trim().parse::<f32>().ok()).unwrap_or(1.0);
        if closeness > best.0 {
            best = (closeness, quality);
        }
    }
    best.1
}

/// An answer in its form, ready to be kept: in JSON what goes under `data`.
///
/// Errors: a field that there is not.
pub(super) fn kept(output: Output, fields: Option<&str>, form: Form) -> Result<Kept, Problem> {
    let next_cursor = output.next_cursor;
    let data = match (output.data, fields) {
        (Data::Table(table), Some(fields)) => Data::Table(table.picked(fields)?),
        (Data::Record(table), Some(fields)) => Data::Record(table.picked(fields)?),
        (data, _) => data,
    };
    let body = match &data {
        Data::Document(value) => written(value)?,
        Data::Text { text, .. } => text.clone().into_bytes(),
        // It has no end at which it could be kept.
        Data::Events(_) => Vec::new(),
        Data::Record(table) if form == Form::Json => written(&table.objects().next())?,
        Data::Table(table) | Data::Record(table) => flat(table, form)?,
    };
    let mut hashed = body.clone();
    hashed.extend(form.word().as_bytes());
    hashed.extend(next_cursor.as_deref().unwrap_or_default().as_bytes());
    let hash = sha256_hex(&hashed)[..TAG].to_owned();
    Ok(Kept { body: body.into(), next_cursor, hash })
}

fn flat(table: &Table, form: Form) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    match form {
        Form::Json => return written(&table.objects().collect::<Vec<_>>()),
        Form::Ndjson => {
            for row in table.objects() {
                out.extend(written(&row)?);
                out.push(b'\n');
            }
        }
        Form::Csv => {
            let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
            tables::write_record(&mut out, b',', &names)?;
            for row in &table.rows {
                let texts: Vec<String> = row.iter().map(|cell| tables::flat(cell.clone(), false)).collect();
                tables::write_record(&mut out, b',', &texts)?;
            }
        }
        Form::Parquet => out = tables::parquet(&table.columns, &table.rows).map_err(anyhow::Error::from)?,
    }
    Ok(out)
}

fn written<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Problem> {
    Ok(serde_json::to_vec(value).map_err(anyhow::Error::from)?)
}

/// The envelope around what was kept.
pub(super) fn envelope(served: &Served, is_kept: bool, request_id: &str) -> Vec<u8> {
    let rest = json!({
        "cached": served.cached,
        "stale_at": is_kept.then(|| instant(served.stale_at)),
        "next_cursor": served.kept.next_cursor,
        "request_id": request_id,
    })
    .to_string();
    let mut body = Vec::with_capacity(served.kept.body.len() + rest.len() + 16);
    body.extend_from_slice(b"{\"data\":");
    body.extend_from_slice(&served.kept.body);
    body.push(b',');
    body.extend_from_slice(&rest.as_bytes()[1..]);
    body
}

/// What was answered without being kept.
pub(super) fn fresh(kept: Kept, at: crate::model::Timestamp) -> Served {
    Served {
        kept: kept.into(),
        cached: false,
        stale_at: at,
        fresh_for: std::time::Duration::ZERO,
        how: How::Miss,
    }
}

/// The strong tag of an answer. An envelope names its request, so no two are the same bytes: its tag names the request
/// too, behind the hash of what it holds, by which [`is_known`] compares.
pub(super) fn tag(hash: &str, request_id: Option<&str>, coding: &str) -> String {
    let coding = if coding == "identity" { String::new() } else { format!("-{coding}") };
    match request_id {
        Some(request_id) => format!("\"{hash}.{request_id}{coding}\""),
        None => format!("\"{hash}{coding}\""),
    }
}

/// The tag, of those that the client has answers of, whose answer says what is to be said now.
pub(super) fn is_known<'h>(if_none_match: &'h str, hash: &str) -> Option<&'h str> {
    if_none_match.split(',').map(str::trim).find(|tag| {
        let inner = tag.trim_start_matches("W/").trim_matches('"');
        *tag == "*" || inner.split(['.', '-']).next() == Some(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_parameters_then_what_is_accepted() {
        let of = |parameter, accept| Form::of_request(parameter, accept, &Form::ALL).ok();
        assert_eq!(of(None, None), Some(Form::Json));
        assert_eq!(of(None, Some("*/*")), Some(Form::Json));
        assert_eq!(of(None, Some("text/csv")), Some(Form::Csv));
        assert_eq!(of(None, Some("text/*")), Some(Form::Csv));
        assert_eq!(of(None, Some("application/json;q=0.5, application/x-ndjson")), Some(Form::Ndjson));
        assert_eq!(of(None, Some("application/json;q=0, */*")), Some(Form::Csv));
        assert_eq!(of(Some("parquet"), Some("text/csv")), Some(Form::Parquet));
        assert_eq!(of(Some("xml"), None), None);
        assert_eq!(of(None, Some("image/png")), None);
    }

    #[test]
    fn fields_choose_and_order_and_are_checked() {
        let table = Table {
            columns: columns(&[("asin", FieldKind::Text), ("bsr", FieldKind::Int)]),
            rows: vec![vec!["B0".into(), 7_i64.into()], vec!["=B1".into(), Cell::Null]],
        };
        let text = |fields, form| {
            let kept = kept(table.clone().into(), fields, form).unwrap();
            String::from_utf8(kept.body.to_vec()).unwrap()
        };
        assert_eq!(text(Some("bsr,asin"), Form::Csv), "bsr,asin\n7,B0\n,'=B1\n");
        assert_eq!(text(Some("bsr"), Form::Json), r#"[{"bsr":7},{"bsr":null}]"#);
        assert_eq!(
            text(None, Form::Ndjson),
            "{\"asin\":\"B0\",\"bsr\":7}\n{\"asin\":\"=B1\",\"bsr\":null}\n"
        );
        for wrong in ["rank", "", "bsr,bsr", "bsr,"] {
            assert!(kept(table.clone().into(), Some(wrong), Form::Json).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_is_known_again_whatever_request_and_coding_it_was_of() {
        let tag = tag("0a1b", Some("req-1.2"), "gzip");
        assert_eq!(tag, "\"0a1b.req-1.2-gzip\"");
        assert_eq!(is_known(&tag, "0a1b"), Some(tag.as_str()));
        assert_eq!(is_known("W/\"ffff\", \"0a1b-br\"", "0a1b"), Some("\"0a1b-br\""));
        assert_eq!(is_known("\"ffff.0a1b\"", "0a1b"), None);
        assert_eq!(is_known("*", "0a1b"), Some("*"));
    }
}
