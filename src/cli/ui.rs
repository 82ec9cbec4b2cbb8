//! Where output goes: stdout is data, stderr is everything else. The only code that prints.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use crate::render::format::plain_text;

/// Width of texts and laid-out pages where stdout is not a terminal.
const DEFAULT_WIDTH: usize = 100;
/// Off a terminal, progress is one line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// When ANSI colours are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The terminal's two streams and how much may be said.
#[derive(Clone, Debug)]
pub struct Ui {
    pub quiet: bool,
    /// JSON modes: a failing command also prints one error object to stderr.
    pub json: bool,
    /// ANSI colours on stdout.
    pub color: bool,
    /// ANSI colours on stderr.
    pub color_stderr: bool,
    /// Columns of the terminal; 100 when stdout is not one.
    pub width: usize,
    /// The widest a table of rows may be: the terminal's width; anything where stdout is none, so that what is piped,
    /// mailed or searched is whole.
    pub table_width: usize,
    /// Draw progress bars (stderr is a terminal and nobody said --no-progress).
    pub progress: bool,
    /// Say progress in lines (stderr is not a terminal and nobody said --no-progress or --quiet).
    pub progress_lines: bool,
    /// Stdin and stderr are a terminal: a person can be asked.
    pub interactive: bool,
    /// Options that a command has to repeat to mean the same: ` --workspace eu`; empty where there are none.
    pub repeated: String,
    bars: MultiProgress,
    stdout: Arc<Mutex<StdoutState>>,
    /// Where notes go instead of stderr.
    heard: Option<Heard>,
}

/// What commands said to somebody who runs them and speaks for them.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// The notes since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of stdout.
#[derive(Debug, Default)]
struct StdoutState {
    /// The reader went away (SIGPIPE): the rest is dropped quietly.
    closed: bool,
    failure: Option<io::Error>,
}

/// What a person asked of the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct UiOptions {
    pub quiet: bool,
    pub json: bool,
    pub no_progress: bool,
    pub color: ColorChoice,
}

/// What a stage has to say to the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    Note(String),
    /// Said even with --quiet: the reason of an exit code that is not 0.
    Complaint(String),
}

impl Ui {
    /// The streams of this process.
    pub fn new(options: UiOptions) -> Ui {
        let (stdout_is_terminal, stderr_is_terminal) =
            (io::stdout().is_terminal(), io::stderr().is_terminal());
        let variables = ColorVariables::from_environment();
        let progress_wanted = !options.quiet && !options.no_progress;
        Ui {
            quiet: options.quiet,
            json: options.json,
            color: variables.decide(options.color, stdout_is_terminal),
            color_stderr: variables.decide(options.color, stderr_is_terminal),
            width: terminal_width(stdout_is_terminal).unwrap_or(DEFAULT_WIDTH),
            table_width: terminal_width(stdout_is_terminal).unwrap_or(usize::MAX),
            progress: progress_wanted && stderr_is_terminal && !variables.dumb,
            progress_lines: progress_wanted && !stderr_is_terminal,
            interactive: io::stdin().is_terminal() && stderr_is_terminal,
            repeated: String::new(),
            bars: MultiProgress::new(),
            stdout: Arc::default(),
            heard: None,
        }
    }

    /// The same streams, except that notes are kept for the caller.
    pub fn hearing(&self) -> (Ui, Heard) {
        let heard = Heard::default();
        (Ui { quiet: false, heard: Some(heard.clone()), ..self.clone() }, heard)
    }

    /// Writes data to stdout, ending the last line. When the reader has gone, the rest is dropped.
    pub fn data(&self, text: &str) {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        self.write_stdout(&[text.as_bytes(), end.as_bytes()]);
    }

    /// Writes data to stdout byte by byte as it is.
    pub fn bytes(&self, bytes: &[u8]) {
        self.write_stdout(&[bytes]);
    }

    fn write_stdout(&self, parts: &[&[u8]]) {
        let mut state = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed || parts.iter().all(|part| part.is_empty()) {
            return;
        }
        let written = self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            parts.iter().try_for_each(|part| stdout.write_all(part))?;
            stdout.flush()
        });
        if let Err(error) = written {
            state.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                state.failure = Some(error);
            }
        }
    }

    /// True when nobody reads stdout any more: a long output may stop.
    pub fn is_closed(&self) -> bool {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Why stdout could not be written, once; a reader that went away is no failure.
    pub fn take_stdout_failure(&self) -> Option<io::Error> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }

    /// Says something to the person: what changed, what comes next. Nothing with --quiet.
    pub fn note(&self, text: &str) {
        let text = match text.starts_with("next: ") {
            true => text.replace("`amzctl ", &format!("`amzctl{} ", self.repeated)),
            false => text.to_owned(),
        };
        match &self.heard {
            _ if self.quiet => {}
            Some(heard) => heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(text),
            None => self.complain(&plain_text(&text)),
        }
    }

    /// Says something on stderr even with --quiet: warnings and errors.
    pub fn complain(&self, text: &str) {
        self.bars.suspend(|| {
            // Nobody is left to tell when stderr itself fails.
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// Says what a stage did, line by line.
    pub fn say(&self, lines: &[Line]) {
        for line in lines {
            match line {
                Line::Note(text) => self.note(text),
                Line::Complaint(text) => self.complain(text),
            }
        }
    }

    /// Asks a yes-or-no question; off a terminal nobody is asked and the answer is no.
    pub fn confirm(&self, question: &str) -> io::Result<bool> {
        if !self.interactive {
            return Ok(false);
        }
        self.complain(&format!("{question} [y/N]"));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Progress in bytes.
    pub fn progress_bytes(&self, total: u64) -> Progress {
        self.start_progress(
            total,
            Unit::Bytes,
            "{wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta}  {msg}",
        )
    }

    /// Progress in rows, files, days: anything counted.
    pub fn progress_rows(&self, total: u64) -> Progress {
        self.start_progress(total, Unit::Rows, "{wide_bar} {human_pos}/{human_len}  {per_sec}  {eta}  {msg}")
    }

    fn start_progress(&self, total: u64, unit: Unit, template: &str) -> Progress {
        let bar = if self.progress {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bars.add(ProgressBar::new(total).with_style(style))
        } else {
            ProgressBar::hidden()
        };
        bar.set_length(total);
        let said = self.progress_lines.then(|| Mutex::new(Instant::now()));
        Progress { bar, unit, said, ui: self.clone() }
    }
}

/// One running count: a bar on a terminal, a line every 30 seconds off one, or nothing.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    unit: Unit,
    /// When the last line was said; null when lines are not wanted.
    said: Option<Mutex<Instant>>,
    ui: Ui,
}

impl Progress {
    pub fn inc(&self, by: u64) {
        self.bar.inc(by);
        self.say_line();
    }

    pub fn set_position(&self, position: u64) {
        self.bar.set_position(position);
        self.say_line();
    }

    pub fn set_length(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// What is being worked on, shown behind the numbers.
    pub fn set_message(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }

    fn say_line(&self) {
        let Some(said) = &self.said else { return };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() >= LINE_EVERY {
            *said = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            self.ui.note(&progress_line(self.unit, &self.bar.message(), done, total));
        }
    }
}

/// What a progress counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    /// Of the files that are read.
    Bytes,
    Rows,
}

/// `reading files: 8.00 MiB of 8.96 MiB`; a total of 0 is not known.
fn progress_line(unit: Unit, subject: &str, done: u64, total: u64) -> String {
    let (usual, shown): (&str, fn(u64) -> String) = match unit {
        Unit::Bytes => ("reading files", |bytes| BinaryBytes(bytes).to_string()),
        Unit::Rows => ("progress", |rows| HumanCount(rows).to_string()),
    };
    let subject = if subject.is_empty() { usual } else { subject };
    let of = if total > 0 { format!(" of {}", shown(total)) } else { String::new() };
    let rows = if unit == Unit::Rows { " rows" } else { "" };
    format!("{subject}: {}{of}{rows}", shown(done))
}

/// The environment's say about colours.
#[derive(Clone, Copy, Debug, Default)]
struct ColorVariables {
    no_color: bool,
    force: bool,
    dumb: bool,
}

impl ColorVariables {
    fn from_environment() -> ColorVariables {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        ColorVariables {
            no_color: set("NO_COLOR").is_some(),
            force: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: set("TERM").is_some_and(|value| value == "dumb"),
        }
    }

    /// What was asked for wins, then NO_COLOR, CLICOLOR_FORCE, TERM=dumb, and last what the stream is.
    fn decide(self, choice: ColorChoice, is_terminal: bool) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto if self.force => true,
            ColorChoice::Auto => is_terminal && !self.dumb,
        }
    }
}

/// Null where nothing says how wide the output is.
fn terminal_width(stdout_is_terminal: bool) -> Option<usize> {
    let from_environment = || std::env::var("COLUMNS").ok()?.parse::<usize>().ok();
    let from_terminal = || {
        let width = comfy_table::Table::new().width().filter(|_| stdout_is_terminal);
        width.map(usize::from)
    };
    // A terminal that does not know its size says 0.
    let is_sane = |columns: &usize| *columns >= 20;
    from_environment().filter(is_sane).or_else(|| from_terminal().filter(is_sane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress_says_what_is_counted() {
        for (unit, subject, done, total, expected) in [
            (Unit::Bytes, "", 8_388_608, 9_392_697, "reading files: 8.00 MiB of 8.96 MiB"),
            (Unit::Rows, "", 1_200, 30_000, "progress: 1,200 of 30,000 rows"),
            (Unit::Rows, "building the mart", 1_200, 0, "building the mart: 1,200 rows"),
        ] {
            assert_eq!(progress_line(unit, subject, done, total), expected);
        }
    }

    #[test]
    fn colours_follow_the_flag_then_the_variables_then_the_terminal() {
        let none = ColorVariables::default();
        let no_color = ColorVariables { no_color: true, force: true, ..none };
        let force = ColorVariables { force: true, dumb: true, ..none };
        let dumb = ColorVariables { dumb: true, ..none };
        assert!(none.decide(ColorChoice::Auto, true) && !none.decide(ColorChoice::Auto, false));
        assert!(!no_color.decide(ColorChoice::Auto, true));
        assert!(force.decide(ColorChoice::Auto, false));
        assert!(!dumb.decide(ColorChoice::Auto, true));
        assert!(no_color.decide(ColorChoice::Always, false));
        assert!(!force.decide(ColorChoice::Never, true));
    }
}
