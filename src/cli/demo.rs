//! `demo`: the whole chain on a bundled market, offline, in a folder of its own.
//!
//! Runs the commands a person would type, through the same dispatch, on a clock that stands on the morning after the
//! story's last day: every demo ends the same. A second run reads nothing new and writes the same report.

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{TimeZone, Utc};

use super::context::Context;
use super::generate::is_occupied;
use super::init::initialise;
use super::output::counted;
use super::ui::Heard;
use crate::clock::Clock;
use crate::config::{self, Config, FILE_NAME, LoadOptions};
use crate::error::{Failure, Outcome};
use crate::generate::{self, scenario};

/// Where the demo works: below the working directory, never in the user's database.
const FOLDER: &str = "amzctl-demo";
/// The file that makes a folder a demo's; its text tells what the folder is.
const MARKER: &str = ".amzctl-demo";
const MARKER_TEXT: &str = "Made by `amzctl demo`. May be deleted at any time.\n";
/// So much of what a command says is repeated.
const MAX_LINES: usize = 5;
/// The cohort with the story.
const COHORT: &str = "US-B0DEMO0001";
const MAIN_PRODUCT: &str = "US:B0DEMO0001";

/// Run every stage on bundled made-up data, offline, in ./amzctl-demo
///
/// Twelve products in two marketplaces over sixty days: a main product loses its price lead, sells out and comes
/// back. Ends with an HTML report. Needs no keys and no network, and touches no other database; it may be run again.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DemoArgs {}

pub(super) async fn run(_: DemoArgs, context: &Context) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let folder = PathBuf::from(FOLDER);
    claim(&folder)?;
    let data = folder.join("data");
    let written = generate::write(scenario::files().into_iter(), &data, |_| {})?;
    for list in scenario::lists() {
        generate::write_file(&folder.join(&list.name), list.contents.as_bytes())?;
    }
    context.ui.note(&format!(
        "A made-up market in ./{FOLDER}: {} records in {} files, {} to {}\n",
        written.records,
        written.files,
        scenario::first_day(),
        scenario::last_day()
    ));
    let mut stage = Stage::new(context, &folder).await?;
    let report = folder.join(format!("report-{COHORT}.html"));
    let in_folder = |name: &str| folder.join(name).display().to_string();
    stage.run(&["watch", "import", &in_folder("watchlist.csv")]).await?;
    stage.run(&["cohort", "import", &in_folder("roles-US.csv"), "--marketplace", "US"]).await?;
    stage.run(&["cohort", "import", &in_folder("roles-DE.csv"), "--marketplace", "DE"]).await?;
    stage.run(&["ingest", &in_folder("data")]).await?;
    stage.run(&["normalize"]).await?;
    stage.run(&["build-mart"]).await?;
    stage.run(&["compare", "--cohort", COHORT]).await?;
    // Before the report, which tells of alerts.
    stage.run(&["alert", "run"]).await?;
    let report_name = report.display().to_string();
    stage
        .run(&["report", "--cohort", COHORT, "--days", "60", "--format", "html", "-o", &report_name])
        .await?;
    context.ui.note(&format!("Done in {}. The report:", seconds(started.elapsed())));
    context.ui.data(&report_name);
    context.ui.note(&format!(
        "\nnext: open it in a browser, or look around:\n  cd {FOLDER}\n  amzctl show {MAIN_PRODUCT}\n  \
         amzctl alert list\n  amzctl compare --cohort {COHORT} --days 60\n  amzctl status"
    ));
    Ok(stage.outcome)
}

/// Makes the folder the demo's own.
///
/// Errors: usage when there is a folder with anything in it that no demo made.
fn claim(folder: &Path) -> anyhow::Result<()> {
    let marker = folder.join(MARKER);
    if marker.is_file() {
        return Ok(());
    }
    if is_occupied(folder)? {
        return Err(Failure::usage(format!(
            "./{} is there already and was not made by a demo",
            folder.display()
        ))
        .hint("run the demo in another folder, or move that one away")
        .into());
    }
    generate::write_file(&marker, MARKER_TEXT.as_bytes())
}

/// Runs commands on the demo's database and tells what each of them said, and how long it took.
struct Stage<'a> {
    context: &'a Context,
    demo: Context,
    heard: Heard,
    outcome: Outcome,
}

impl Stage<'_> {
    async fn new<'a>(context: &'a Context, folder: &Path) -> anyhow::Result<Stage<'a>> {
        let day_after = scenario::last_day().plus(1).date().and_hms_opt(6, 0, 0).unwrap_or_default();
        let clock = Clock::Fixed(Utc.from_utc_datetime(&day_after));
        let mut demo = context.with_config(configuration(folder, clock).await?);
        let (ui, heard) = context.ui.hearing();
        demo.clock = clock;
        demo.ui = ui;
        Ok(Stage { context, demo, heard, outcome: Outcome::Done })
    }

    async fn run(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let started = Instant::now();
        let arguments = std::iter::once("amzctl").chain(words.iter().copied()).map(OsString::from);
        let (_, command) = super::parse(arguments.collect())?;
        self.context.ui.note(&format!("$ amzctl {}", words.join(" ")));
        // Boxed: this command is one of those that dispatch runs.
        let running: Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + '_>> =
            Box::pin(super::dispatch(command, &self.demo));
        let outcome = running.await.with_context(|| format!("`amzctl {}` failed", words.join(" ")))?;
        self.outcome = self.outcome.and(outcome);
        let mut lines = self.heard.take();
        lines.retain(|line| !line.starts_with("next:"));
        // What a command says of all its work stands at the end.
        let left_out = lines.len().saturating_sub(MAX_LINES);
        if left_out > 0 {
            self.context.ui.note(&format!("  … {}", counted(left_out, "more line")));
        }
        for line in &lines[left_out..] {
            self.context.ui.note(&format!("  {line}"));
        }
        self.context.ui.note(&format!("  {}\n", seconds(started.elapsed())));
        Ok(())
    }
}

/// The demo's configuration: the one `init` writes, with the story's shop as our own. Nothing outside the folder is
/// asked, so that no variable and no user file leads to another database.
async fn configuration(folder: &Path, clock: Clock) -> anyhow::Result<Config> {
    let file = folder.join(FILE_NAME);
    let load = LoadOptions {
        file: Some(file.clone()),
        folder: std::env::current_dir().context("failed to find the working directory")?,
        ..LoadOptions::default()
    };
    initialise(&load, Some(chrono_tz::UTC), None, clock).await?;
    let written =
        std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let own = format!("seller_ids = {:?}", scenario::own_seller_ids());
    let written = written.replace("#seller_ids = []", &own);
    // What happens on the last day has not lasted yet: here it is told at first sight.
    let written = written.replace("#rules = \"calm\"", "rules = \"plain\"");
    generate::write_file(&file, written.as_bytes())?;
    Ok(config::load(&load)?.config)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_demo_made_is_refused_and_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("amzctl.db"), "precious").unwrap();
        let error = claim(&folder).unwrap_err().to_string();
        assert!(error.ends_with("is there already and was not made by a demo"), "{error}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn an_absent_empty_or_marked_folder_is_taken() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(FOLDER);
        claim(&folder).unwrap();
        std::fs::write(folder.join("amzctl.db"), "made by the demo").unwrap();
        claim(&folder).unwrap();
        let empty = parent.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        claim(&empty).unwrap();
    }
}
