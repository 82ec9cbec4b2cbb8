//! How a failure is told: one line what failed, its causes, hints; in JSON modes one object more.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::ui::Ui;
use crate::error::{Outcome, classify};
use crate::render::format::plain_text;

/// Tells a person (and in JSON modes a program) why the command failed; answers how the program ends.
pub(super) fn report(error: &anyhow::Error, ui: &Ui, run_id: Option<String>) -> Outcome {
    let (outcome, hints) = classify(error);
    if outcome == Outcome::Done {
        ui.note(&error.to_string());
        return outcome;
    }
    ui.complain(text(error, &hints, ui.color_stderr).trim_end());
    if ui.json {
        let message = plain_text(&told(error).join(": "));
        ui.complain(&object(&message, outcome, &hints, run_id));
    }
    outcome
}

/// What failed, then why, each said once: some libraries repeat their cause in their own message.
fn told(error: &anyhow::Error) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.last().is_some_and(|said| said.contains(&cause)) {
            told.push(cause);
        }
    }
    told
}

fn text(error: &anyhow::Error, hints: &[String], color: bool) -> String {
    let paint = |code: &str, word: &str| {
        if color { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
    };
    let [failed, causes @ ..] = &*told(error) else { return String::new() };
    let mut out = format!("{} {}\n", paint("1;31", "error:"), plain_text(failed));
    for cause in causes {
        let _ = writeln!(out, "  caused by: {}", plain_text(cause));
    }
    for hint in hints {
        let _ = writeln!(out, "{} {}", paint("1;36", "hint:"), plain_text(hint));
    }
    out
}

fn object(message: &str, outcome: Outcome, hints: &[String], run_id: Option<String>) -> String {
    let hint = (!hints.is_empty()).then(|| hints.join("\n"));
    let object =
        ErrorObject { kind: "error", code: outcome.code(), exit: outcome.exit_code(), message, hint, run_id };
    serde_json::to_string(&object).unwrap_or_default()
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    exit: u8,
    message: &'a str,
    hint: Option<String>,
    run_id: Option<String>,
}

/// What clap has to say: help and version are data, everything else is wrong usage.
pub(super) fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away wants no more help.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let _ = error.print();
    if json {
        let message = error.render().to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let object = object(first, Outcome::Usage, &["see --help".to_owned()], None);
        let _ = writeln!(std::io::stderr(), "{object}");
    }
    Outcome::Usage.exit_code().into()
}

/// Whether the arguments ask for JSON: known before they are parsed, so that wrong usage is told as JSON too.
pub(super) fn wants_json(arguments: &[OsString]) -> bool {
    let words = words(arguments);
    words.contains(&"--json") || matches!(value_of("--format", &words), Some("json" | "ndjson"))
}

/// The colours that the arguments ask for: known before they are parsed, for what clap itself prints.
pub(super) fn wanted_color(arguments: &[OsString]) -> clap::ColorChoice {
    match value_of("--color", &words(arguments)) {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// The arguments before `--`.
fn words(arguments: &[OsString]) -> Vec<&str> {
    arguments.iter().filter_map(|argument| argument.to_str()).take_while(|word| *word != "--").collect()
}

/// The value of `--flag value` or `--flag=value`.
fn value_of<'a>(flag: &str, words: &[&'a str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(flag)? {
        "" => words.get(index + 1).copied(),
        rest => rest.strip_prefix('='),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    #[test]
    fn a_failure_is_told_once_with_its_causes_and_hints() {
        let cause = std::io::Error::other("no space");
        let error = anyhow::Error::from(cause).context("failed to write report.html");
        assert_eq!(
            text(&error, &["free some space".to_owned()], false),
            "error: failed to write report.html\n  caused by: no space\nhint: free some space\n"
        );
    }

    #[test]
    fn the_error_object_carries_what_a_script_decides_by() {
        let error: anyhow::Error = Failure::new(Outcome::Locked, "taken").hint("wait").into();
        let (outcome, hints) = classify(&error);
        assert_eq!(
            object("taken", outcome, &hints, Some("r1".into())),
            r#"{"type":"error","code":"locked","exit":11,"message":"taken","hint":"wait","run_id":"r1"}"#
        );
    }

    #[test]
    fn json_is_wanted_when_a_flag_before_the_dashes_says_so() {
        let wants = |line: &str| wants_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(wants("amzctl runs list --json"));
        assert!(wants("amzctl runs list --format ndjson"));
        assert!(wants("amzctl runs list --format=json"));
        assert!(!wants("amzctl runs list --format csv"));
        assert!(!wants("amzctl show -- --json"));
    }
}
