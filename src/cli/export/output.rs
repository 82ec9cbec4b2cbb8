//! Where exported rows go, and how they are written: piece by piece, never as one text.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use clap::ValueEnum;
use polars::io::parquet::write::BatchedWriter;
use polars::prelude::{ParquetWriter, PolarsError};
use serde_json::Value;

use crate::cli::output::counted;
use crate::cli::ui::Ui;
use crate::error::Failure;
use crate::files::AtomicFile;
use crate::render::rows::Cell;
use crate::stages::tables::{RowObject, flat, frame, write_record};
use crate::store::export::FieldKind;

/// Text that is collected before it is written.
const CHUNK_BYTES: usize = 1 << 16;
/// Rows of a row group of an exported Parquet file.
const GROUP_ROWS: usize = 50_000;

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::cli) enum Format {
    Csv,
    Tsv,
    Json,
    Ndjson,
    Parquet,
}

impl Format {
    /// The format that a file's name asks for.
    pub(super) fn of_ending(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" => Some(Format::Tsv),
            "json" => Some(Format::Json),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }
}

/// An export being written.
pub(super) struct Output {
    columns: Vec<(String, FieldKind)>,
    body: Body,
    rows: u64,
    raw: bool,
    ui: Ui,
    path: Option<PathBuf>,
}

/// Where the rows are to go, and how.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Null: stdout.
    pub(super) path: Option<&'a Path>,
    /// Text stays as it is.
    pub(super) raw: bool,
    /// Rows are counted, and none is written.
    pub(super) dry_run: bool,
}

enum Body {
    /// A dry run.
    Counted,
    Text {
        format: Format,
        pending: Vec<u8>,
        target: Target,
    },
    Parquet(Box<ParquetBody>),
}

enum Target {
    Stdout,
    File(AtomicFile),
}

impl Output {
    /// Begins the export and writes what stands before the first row.
    pub(super) fn open(
        format: Format,
        wanted: Wanted<'_>,
        columns: Vec<(String, FieldKind)>,
        schema: String,
        ui: &Ui,
    ) -> anyhow::Result<Output> {
        let Wanted { path, raw, dry_run } = wanted;
        if format == Format::Parquet && path.is_none() {
            return Err(Failure::usage("a Parquet file cannot go to stdout")
                .hint("name a file with -o FILE")
                .into());
        }
        // Begun in a dry run too, to see that it could be written, and dropped.
        let file = path
            .map(|path| {
                AtomicFile::create(path).with_context(|| format!("failed to write {}", path.display()))
            })
            .transpose()?;
        let body = match (format, file) {
            _ if dry_run => Body::Counted,
            (Format::Parquet, Some(file)) => Body::Parquet(Box::new(ParquetBody::begin(&columns, file)?)),
            (format, file) => {
                Body::Text { format, pending: Vec::new(), target: file.map_or(Target::Stdout, Target::File) }
            }
        };
        let path = path.map(Path::to_owned);
        let mut output = Output { columns, body, rows: 0, raw, ui: ui.clone(), path };
        output.head(&schema)?;
        Ok(output)
    }

    fn head(&mut self, schema: &str) -> anyhow::Result<()> {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        if let Body::Text { format, pending, .. } = &mut self.body {
            match format {
                Format::Csv | Format::Tsv => write_record(pending, delimiter(*format), &names)?,
                Format::Json => write!(pending, "{{\"schema\":{},\"rows\":[", Value::from(schema))?,
                Format::Ndjson | Format::Parquet => {}
            }
        }
        Ok(())
    }

    /// Writes a row; false when nobody reads any more.
    pub(super) fn row(&mut self, cells: Vec<Cell>) -> anyhow::Result<bool> {
        self.put(cells).with_context(|| failed(self.path.as_deref()))
    }

    fn put(&mut self, cells: Vec<Cell>) -> anyhow::Result<bool> {
        self.rows += 1;
        match &mut self.body {
            Body::Counted => {}
            Body::Parquet(body) => body.row(cells)?,
            Body::Text { format, pending, target } => {
                match format {
                    Format::Csv | Format::Tsv => {
                        let texts: Vec<String> = cells.into_iter().map(|cell| flat(cell, self.raw)).collect();
                        write_record(pending, delimiter(*format), &texts)?;
                    }
                    _ => {
                        if *format == Format::Json {
                            pending.extend_from_slice(if self.rows == 1 { b"\n" } else { b",\n" });
                        }
                        serde_json::to_writer(
                            &mut *pending,
                            &RowObject { columns: &self.columns, cells: &cells },
                        )?;
                        if *format == Format::Ndjson {
                            pending.push(b'\n');
                        }
                    }
                }
                if pending.len() >= CHUNK_BYTES {
                    return target.write(pending, *format == Format::Json, &self.ui);
                }
            }
        }
        Ok(true)
    }

    /// Writes what stands behind the last row, and makes a file what it is called.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if matches!(self.body, Body::Counted) {
            let to = self.path.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
            self.ui.note(&format!("dry run, nothing written: {} to {to}", counted(self.rows, "row")));
            return Ok(());
        }
        end(self.body, &self.ui).with_context(|| failed(self.path.as_deref()))?;
        if let Some(path) = &self.path {
            self.ui.note(&format!("wrote {} ({})", path.display(), counted(self.rows, "row")));
        }
        Ok(())
    }
}

fn failed(path: Option<&Path>) -> String {
    path.map_or("failed to write the export".to_owned(), |path| format!("failed to write {}", path.display()))
}

fn end(body: Body, ui: &Ui) -> anyhow::Result<()> {
    match body {
        Body::Counted => Ok(()),
        Body::Parquet(body) => body.finish(),
        Body::Text { format, mut pending, mut target } => {
            if format == Format::Json {
                pending.extend_from_slice(b"\n]}\n");
            }
            target.write(&mut pending, false, ui)?;
            if let Target::File(file) = target {
                file.finish()?;
            }
            Ok(())
        }
    }
}

impl Target {
    /// Writes what is pending; `keep_line` keeps an unfinished last line back, because stdout ends every piece.
    fn write(&mut self, pending: &mut Vec<u8>, keep_line: bool, ui: &Ui) -> anyhow::Result<bool> {
        match self {
            Target::File(file) => {
                file.write_all(pending)?;
                pending.clear();
                Ok(true)
            }
            Target::Stdout => {
                let end = match pending.iter().rposition(|byte| *byte == b'\n') {
                    Some(last) if keep_line => last + 1,
                    _ => pending.len(),
                };
                let rest = pending.split_off(end);
                ui.data(&String::from_utf8_lossy(pending));
                *pending = rest;
                Ok(!ui.is_closed())
            }
        }
    }
}

fn delimiter(format: Format) -> u8 {
    if format == Format::Tsv { b'\t' } else { b',' }
}

/// A Parquet file, row group by row group.
struct ParquetBody {
    columns: Vec<(String, FieldKind)>,
    pending: Vec<Vec<Cell>>,
    file: Shared,
    writer: BatchedWriter<Shared>,
}

/// The parquet writer owns its output; this end stays with us, to finish the file.
#[derive(Clone)]
struct Shared(Arc<Mutex<SharedFile>>);

struct SharedFile {
    file: Option<AtomicFile>,
    /// What the system said when a write failed: the parquet writer keeps only its words.
    failure: Option<std::io::Error>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, SharedFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the parquet writer gave up.
    fn failed(&self, error: PolarsError) -> anyhow::Error {
        self.lock().failure.take().map_or_else(|| error.into(), Into::into)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut shared = self.lock();
        let written = shared.file.as_mut().map_or(Ok(bytes.len()), |file| file.write(bytes));
        if let Err(error) = &written {
            shared.failure = Some(std::io::Error::new(error.kind(), error.to_string()));
        }
        written
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ParquetBody {
    fn begin(columns: &[(String, FieldKind)], file: AtomicFile) -> anyhow::Result<ParquetBody> {
        let file = Shared(Arc::new(Mutex::new(SharedFile { file: Some(file), failure: None })));
        let empty = frame(columns, &[])?;
        let writer = ParquetWriter::new(file.clone()).batched(empty.schema())?;
        Ok(ParquetBody { columns: columns.to_vec(), pending: Vec::new(), file, writer })
    }

    fn row(&mut self, cells: Vec<Cell>) -> anyhow::Result<()> {
        self.pending.push(cells);
        if self.pending.len() >= GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        let group = frame(&self.columns, &self.pending)?;
        self.pending.clear();
        self.writer.write_batch(&group).map_err(|error| self.file.failed(error))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if !self.pending.is_empty() {
            self.write_group()?;
        }
        self.writer.finish().map_err(|error| self.file.failed(error))?;
        let file = self.file.lock().file.take();
        if let Some(file) = file {
            file.finish()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars::prelude::{ParquetReader, SerReader};

    use super::*;
    use crate::cli::ui::UiOptions;

    fn export(format: Format, raw: bool, rows: &[Vec<Cell>]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let columns = vec![
            ("asin".to_owned(), FieldKind::Text),
            ("price_minor".to_owned(), FieldKind::Int),
            ("is_prime".to_owned(), FieldKind::Bool),
            ("record".to_owned(), FieldKind::Json),
        ];
        let ui = Ui::new(UiOptions { quiet: true, ..UiOptions::default() });
        let mut output = Output::open(
            format,
            Wanted { path: Some(&path), raw, dry_run: false },
            columns,
            "amzctl.export.test/1".into(),
            &ui,
        )
        .unwrap();
        for row in rows {
            assert!(output.row(row.clone()).unwrap());
        }
        assert!(!path.exists(), "a file appears whole or not at all");
        output.finish().unwrap();
        std::fs::read(&path).unwrap()
    }

    fn row(asin: &str, price: Option<i64>) -> Vec<Cell> {
        vec![asin.into(), price.into(), true.into(), Cell::Json(serde_json::json!({"z": 1, "a": [2]}))]
    }

    #[test]
    fn formulas_are_made_plain_text_unless_raw_is_wanted() {
        let rows = [row("=1+1", Some(-5)), row("a,\"b\"\nc", None)];
        let csv = String::from_utf8(export(Format::Csv, false, &rows)).unwrap();
        let expected = "asin,price_minor,is_prime,record\n'=1+1,-5,true,\"{\"\"a\"\":[2],\"\"z\"\":1}\"\n";
        assert!(csv.starts_with(expected), "{csv}");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let second = reader.records().nth(1).unwrap().unwrap();
        assert_eq!((&second[0], &second[1]), ("a,\"b\"\nc", ""));
        let raw = String::from_utf8(export(Format::Tsv, true, &rows)).unwrap();
        assert!(raw.contains("\n=1+1\t-5\t"), "{raw}");
    }

    #[test]
    fn json_holds_the_rows_in_column_order_however_many_there_are() {
        for count in [0, 1, 5_000] {
            let rows: Vec<_> = (0..count).map(|price| row("B0", Some(price))).collect();
            let json = export(Format::Json, false, &rows);
            let document: Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(document["schema"], "amzctl.export.test/1");
            assert_eq!(document["rows"].as_array().unwrap().len() as i64, count);
            let lines = String::from_utf8(export(Format::Ndjson, false, &rows)).unwrap();
            assert_eq!(lines.lines().count() as i64, count);
            assert!(
                count == 0 || lines.starts_with(r#"{"asin":"B0","price_minor":0,"is_prime":true,"record":{"#)
            );
        }
    }

    #[test]
    fn parquet_keeps_types_and_unknown() {
        let bytes = export(Format::Parquet, false, &[row("=B0", Some(7)), row("B1", None)]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), bytes).unwrap();
        let frame = ParquetReader::new(File::open(folder.path().join("x")).unwrap()).finish().unwrap();
        let prices: Vec<_> = frame.column("price_minor").unwrap().i64().unwrap().iter().collect();
        assert_eq!(prices, [Some(7), None]);
        assert_eq!(frame.column("asin").unwrap().str().unwrap().get(0), Some("=B0"));
    }
}
