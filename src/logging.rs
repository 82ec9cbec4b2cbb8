//! What the program says while it works: tracing to stderr or a file, for people or for machines.
//!
//! Every format carries the same fields: timestamp, level, target, run_id, then those of the event and the spans
//! around it (request_id, source, asin, operation, duration_ms), then the message.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::Context as _;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, util::SubscriberInitExt};

use crate::clock::Clock;

/// The id of the run under way, shared by the shell and every log record.
#[derive(Clone, Debug, Default)]
pub struct RunIdSlot(Arc<RwLock<Option<String>>>);

impl RunIdSlot {
    pub fn set(&self, run_id: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(run_id.to_owned());
    }

    pub fn get(&self) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How log records look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Pretty,
    Json,
    Logfmt,
}

/// What is logged, and where to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Null: stderr.
    pub file: Option<PathBuf>,
    pub format: LogFormat,
    /// 0 warnings (on stderr for a person: none), 1 what is done, 2 every step, 3 everything.
    pub verbosity: u8,
}

/// A log file that can be opened anew after it was rotated.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> anyhow::Result<LogFile> {
        let file = append(path).with_context(|| format!("failed to open the log file {}", path.display()))?;
        Ok(LogFile { path: path.to_owned(), file: Arc::new(Mutex::new(file)) })
    }

    /// Goes on in a new file of the same name; in the old one when that cannot be opened.
    pub fn reopen(&self) {
        if let Ok(file) = append(&self.path) {
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        }
    }

    fn write(&self, line: &str) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes one line to stderr without disturbing what is drawn there.
pub type StderrLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts logging for this process; answers the log file, for the signal that reopens it.
///
/// Errors: the log file cannot be opened.
pub fn start(
    options: &Options,
    clock: Clock,
    stderr: StderrLine,
    run_id: RunIdSlot,
) -> anyhow::Result<Option<LogFile>> {
    let file = options.file.as_deref().map(LogFile::open).transpose()?;
    let target = match &file {
        Some(file) => Target::File(file.clone()),
        None => Target::Stderr(stderr),
    };
    let layer = RecordLayer { format: options.format, clock, target, run_id };
    let is_for_a_person = file.is_none() && options.format == LogFormat::Pretty;
    let own = match options.verbosity {
        // What a warning says, the command tells the person in its own words.
        0 if is_for_a_person => "error",
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    // Libraries only speak up when something is wrong, unless everything is asked for.
    // The parser of HTML warns of every table of a page that is not as it should be: none is of use to anybody.
    let others = match options.verbosity {
        3.. => "trace",
        0 if is_for_a_person => "error",
        _ => "warn",
    };
    let filter = format!("{others},html5ever=error,amzctl={own}");
    // A second start in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(layer.with_filter(EnvFilter::new(filter))).try_init();
    Ok(file)
}

enum Target {
    Stderr(StderrLine),
    File(LogFile),
}

/// Turns events into lines.
struct RecordLayer {
    format: LogFormat,
    clock: Clock,
    target: Target,
    run_id: RunIdSlot,
}

/// The fields of a span, kept for the events inside it.
struct SpanFields(Map<String, Value>);

impl<S> Layer<S> for RecordLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(SpanFields(known)) = span.extensions_mut().get_mut() {
            known.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(SpanFields(outer)) = span.extensions().get() {
                fields.extend(outer.clone());
            }
        }
        let mut own = Fields(fields);
        event.record(&mut own);
        let record = Record {
            timestamp: self.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            run_id: self.run_id.get(),
            message: own
                .0
                .remove("message")
                .and_then(|text| text.as_str().map(str::to_owned))
                .unwrap_or_default(),
            fields: own.0,
        };
        let line = match self.format {
            LogFormat::Json => record.json(),
            LogFormat::Logfmt => record.logfmt(),
            LogFormat::Pretty => record.pretty(),
        };
        match &self.target {
            Target::Stderr(write) => write(&line),
            // A log that cannot be written must not end the work it tells of.
            Target::File(file) => drop(file.write(&(line + "\n"))),
        }
    }
}

/// One event, ready to be written.
struct Record<'a> {
    timestamp: String,
    level: Level,
    target: &'a str,
    run_id: Option<String>,
    message: String,
    fields: Map<String, Value>,
}

impl Record<'_> {
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn logfmt(&self) -> String {
        let level = self.level.as_str().to_lowercase();
        let mut line = format!("timestamp={} level={level} target={}", self.timestamp, self.target);
        if let Some(run_id) = &self.run_id {
            let _ = write!(line, " run_id={run_id}");
        }
        for (name, value) in &self.fields {
            let _ = write!(line, " {name}={}", quoted(value));
        }
        let _ = write!(line, " message={}", quoted(&json!(self.message)));
        line
    }

    fn pretty(&self) -> String {
        let mut line = format!("{} {:>5} {}", self.timestamp, self.level, self.message);
        for (name, value) in &self.fields {
            let _ = write!(line, " {name}={}", quoted(value));
        }
        line
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        map.serialize_entry("level", &self.level.as_str().to_lowercase())?;
        map.serialize_entry("target", self.target)?;
        map.serialize_entry("run_id", &self.run_id)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("message", &self.message)?;
        map.end()
    }
}

/// The value as logfmt writes it: in quotes where it has spaces, quotes or an equals sign.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"=".contains(c)) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: LogFormat) -> Vec<String> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink = said.clone();
        let run_id = RunIdSlot::default();
        run_id.set("run-1");
        let layer = RecordLayer {
            format,
            clock: Clock::Fixed("2026-03-01T12:00:00Z".parse().unwrap()),
            target: Target::Stderr(Arc::new(move |line| sink.lock().unwrap().push(line.to_owned()))),
            run_id,
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _source =
                tracing::info_span!(target: "amzctl", "fetch", source = "apify", asin = "B0FDKB341G")
                    .entered();
            tracing::warn!(target: "amzctl", operation = "normalize", duration_ms = 12, "left 2 records \"out\"");
        });
        std::mem::take(&mut *said.lock().unwrap())
    }

    #[test]
    fn every_format_carries_the_fields_of_the_event_and_its_spans() {
        assert_eq!(
            lines(LogFormat::Json),
            [
                r#"{"timestamp":"2026-03-01T12:00:00.000Z","level":"warn","target":"amzctl","run_id":"run-1","asin":"B0FDKB341G","duration_ms":12,"operation":"normalize","source":"apify","message":"left 2 records \"out\""}"#
            ]
        );
        assert_eq!(
            lines(LogFormat::Logfmt),
            [
                r#"timestamp=2026-03-01T12:00:00.000Z level=warn target=amzctl run_id=run-1 asin=B0FDKB341G duration_ms=12 operation=normalize source=apify message="left 2 records \"out\"""#
            ]
        );
        assert_eq!(
            lines(LogFormat::Pretty),
            [
                r#"2026-03-01T12:00:00.000Z  WARN left 2 records "out" asin=B0FDKB341G duration_ms=12 operation=normalize source=apify"#
            ]
        );
    }

    #[test]
    fn a_rotated_log_file_goes_on_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("amzctl.log");
        let log = LogFile::open(&path).unwrap();
        log.write("one\n").unwrap();
        std::fs::rename(&path, folder.path().join("amzctl.log.1")).unwrap();
        log.reopen();
        log.write("two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
