//! How a reading command is asked for its format, and where the result goes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use crate::files::write_atomic;
use crate::model::Day;
use crate::render::rows::{self, Cell, Format, Rows};

/// Flags of every reading command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OutputArgs {
    /// Print as a table or for programs
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<Format>,

    /// Print JSON, the same as --format json
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    pub json: bool,

    /// Print only these columns, in this order
    #[arg(long, value_delimiter = ',', value_name = "A,B", help_heading = "Output")]
    pub fields: Option<Vec<String>>,

    /// Write to a file instead of stdout; it is replaced whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// The format asked for; a table when none was.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format.unwrap_or(Format::Table) }
    }

    /// Prints the rows as asked.
    ///
    /// An empty table prints nothing to a terminal format: say what is missing with a note.
    pub fn emit(&self, rows: &Rows, context: &Context) -> anyhow::Result<()> {
        let format = self.format();
        let text = rows::render(rows, format, self.fields.as_deref(), self.table_width(context))?;
        if format == Format::Table && rows.is_empty() && self.output.is_none() {
            return Ok(());
        }
        self.write(&text, context)
    }

    /// [`OutputArgs::emit`], where a table shows only the columns that fit a terminal; --fields and the other formats
    /// have them all.
    pub fn emit_columns(&self, rows: &Rows, table: &[&str], context: &Context) -> anyhow::Result<()> {
        let mut output = self.clone();
        if output.fields.is_none() && output.format() == Format::Table {
            output.fields = Some(table.iter().map(|name| (*name).to_owned()).collect());
        }
        output.emit(rows, context)
    }

    /// Prints one record: field by field on a terminal, as a table of one row in the other formats, and in JSON as one
    /// object beside `schema`.
    pub fn emit_record(
        &self,
        schema: &'static str,
        fields: &[(&'static str, Cell)],
        context: &Context,
    ) -> anyhow::Result<()> {
        let columns: Vec<&'static str> = fields.iter().map(|(name, _)| *name).collect();
        let mut rows = Rows::new(schema, &columns);
        rows.push(fields.iter().map(|(_, cell)| cell.clone()).collect());
        let text = match self.format() {
            Format::Table => rows::render_record(&rows, self.fields.as_deref())?,
            Format::Json => rows::render_record_json(&rows, self.fields.as_deref())?,
            format => rows::render(&rows, format, self.fields.as_deref(), self.table_width(context))?,
        };
        self.write(&text, context)
    }

    /// A file is no terminal: its table is never cut.
    pub(super) fn table_width(&self, context: &Context) -> usize {
        if self.output.is_some() { usize::MAX } else { context.ui.table_width }
    }

    /// Prints a finished text, or writes it to the file that was named.
    pub fn write(&self, text: &str, context: &Context) -> anyhow::Result<()> {
        write_text(text, self.output.as_deref(), context)
    }
}

/// `1 file`, `2 files`.
pub(super) fn counted(number: impl std::fmt::Display, what: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// `2026-02-26 to 2026-02-28`; one day by itself.
pub(super) fn spanned(first: Day, last: Day) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// `from 2026-02-26 to 2026-02-28`, or `on 2026-02-26`.
pub(super) fn within(first: Day, last: Day) -> String {
    let word = if first == last { "on" } else { "from" };
    format!("{word} {}", spanned(first, last))
}

/// Prints a finished text, or writes it to `path` whole or not at all.
pub(super) fn write_text(text: &str, path: Option<&Path>, context: &Context) -> anyhow::Result<()> {
    let Some(path) = path else {
        context.ui.data(text);
        return Ok(());
    };
    write_file(path, text.as_bytes(), context)
}

/// Prints bytes as they are, or writes them to `path` whole or not at all.
pub(super) fn write_bytes(bytes: &[u8], path: Option<&Path>, context: &Context) -> anyhow::Result<()> {
    let Some(path) = path else {
        context.ui.bytes(bytes);
        return Ok(());
    };
    write_file(path, bytes, context)
}

fn write_file(path: &Path, bytes: &[u8], context: &Context) -> anyhow::Result<()> {
    write_atomic(path, bytes).with_context(|| format!("failed to write {}", path.display()))?;
    context.ui.note(&format!("wrote {} ({} bytes)", path.display(), bytes.len()));
    Ok(())
}
