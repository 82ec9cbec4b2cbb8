//! What a person types and reads. Each subcommand: args, options, run the stage, render the summary.

mod alert;
mod backfill;
mod build_mart;
mod check;
mod cohort;
mod compare;
mod completions;
mod config;
mod confirm;
pub mod context;
mod costs;
pub mod dates;
mod db;
mod demo;
mod doctor;
#[cfg(test)]
mod examples;
mod explain;
mod export;
mod failure;
mod fetch;
mod generate;
mod ingest;
mod init;
mod keys;
mod lake;
mod man;
mod normalize;
mod output;
pub mod products;
mod quarantine;
mod report;
mod roles;
mod run;
mod runs;
mod serve_lite;
mod show;
mod signals;
mod sizes;
mod status;
pub mod ui;
mod verify;
mod version;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use init::{Initialised, initialise};
pub use output::OutputArgs;

use crate::clock::Clock;
use crate::config::{Config, LoadOptions, Loaded, load};
use crate::error::{Failure, Outcome, classify};
use crate::logging::{self, LogFormat, RunIdSlot};
use crate::model::Workspace;
use context::Context;
use dates::parse_duration;
use ui::{ColorChoice, Ui, UiOptions};

/// The variable that makes time stand still.
const NOW_VARIABLE: &str = "AMZCTL_NOW";

const MORE_HELP: &str = "\
Environment:
  AMZCTL_SECTION__KEY  Any key of amzctl.toml: AMZCTL_STORE__PATH is `path` under [store]
  AMZCTL_NOW           Make time stand still at an instant such as 2026-03-01T12:00:00Z

Exit codes:
  0    done, also when there was nothing to do
  1    failed; running again does not help until something changes
  2    wrong usage or configuration
  3    finished, but some items failed or were quarantined
  4    a data test failed
  5    data is older than its limit
  6    budget, quota or deadline reached; work is left for the next run
  7    failed for a passing reason; run again later
  10   not initialised: no configuration, no database
  11   another run holds the lock
  12   credentials are missing or refused
  20   found something, only with --exit-code
  130  interrupted (SIGINT), 143 terminated (SIGTERM), after a clean stop";

/// Keep an honest daily record of Amazon products: ingest, normalize, compare, report, alert
#[derive(Clone, Debug, Parser)]
#[command(name = "amzctl", version, max_term_width = 100, disable_help_subcommand = true, after_long_help = MORE_HELP)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command, before or after its name.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Configuration file; without it amzctl.toml is looked for here and above
    #[arg(long, global = true, value_name = "FILE", env = "AMZCTL_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// Colours: auto looks at the terminal, NO_COLOR, CLICOLOR_FORCE and TERM
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub color: ColorChoice,

    /// Say nothing on success
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Log more: -v what is done, -vv every step
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Draw no progress bars
    #[arg(long, global = true)]
    pub no_progress: bool,

    /// Write the log to a file instead of stderr; reopened on SIGHUP
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Log records as pretty, json or logfmt
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true
    )]
    pub log_format: LogFormat,

    /// Wait this long for another run to finish: 90s, 10m, 1h
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub lock_wait: Option<Duration>,

    /// End with exit code 0 when another run holds the lock
    #[arg(long, global = true, conflicts_with = "lock_wait")]
    pub skip_if_locked: bool,

    /// Whose watchlist, cohorts, alerts and reports are meant; a workspace is there with the first thing in it
    /// [default: the configured one, else main]
    #[arg(long, global = true, value_name = "NAME", env = "AMZCTL_WORKSPACE", hide_env_values = true)]
    pub workspace: Option<Workspace>,

    /// Refuse a database of an older schema instead of bringing it up to date
    #[arg(long, global = true)]
    pub no_migrate: bool,

    /// What was typed, without the program and its flags: what a lock's holder is called.
    #[arg(skip)]
    pub command_line: String,

    /// What of it a command that is proposed has to say too: ` --workspace eu`.
    #[arg(skip)]
    pub repeated: String,
}

/// In the order of the help: the pipeline, then what is around it.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    Ingest(ingest::IngestArgs),
    Normalize(normalize::NormalizeArgs),
    BuildMart(build_mart::BuildMartArgs),
    Compare(compare::CompareArgs),
    Report(report::ReportArgs),
    Alert(alert::AlertArgs),
    ServeLite(serve_lite::ServeLiteArgs),
    Run(run::RunArgs),
    Backfill(backfill::BackfillArgs),
    Init(init::InitArgs),
    Demo(demo::DemoArgs),
    Watch(watch::WatchArgs),
    Cohort(cohort::CohortArgs),
    Status(status::StatusArgs),
    Runs(runs::RunsArgs),
    Costs(costs::CostsArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Verify(verify::VerifyArgs),
    Quarantine(quarantine::QuarantineArgs),
    Show(show::ShowArgs),
    Explain(explain::ExplainArgs),
    Export(export::ExportArgs),
    Lake(lake::LakeArgs),
    Db(db::DbArgs),
    Keys(keys::KeysArgs),
    Config(config::ConfigArgs),
    Gen(generate::GenArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Version(version::VersionArgs),
}

impl Command {
    /// False for commands that work without a valid configuration.
    fn needs_config(&self) -> bool {
        !matches!(
            self,
            Command::Demo(_)
                | Command::Gen(_)
                | Command::Init(_)
                | Command::Config(_)
                | Command::Completions(_)
                | Command::Man(_)
                | Command::Version(_)
        )
    }
}

/// The whole command line, for completions and manual pages.
fn command() -> clap::Command {
    Cli::command()
}

async fn dispatch(command: Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Ingest(args) => ingest::run(args, context).await,
        Command::Normalize(args) => normalize::run(args, context).await,
        Command::BuildMart(args) => build_mart::run(args, context).await,
        Command::Compare(args) => compare::run(args, context).await,
        Command::Report(args) => report::run(args, context).await,
        Command::Alert(args) => alert::run(args, context).await,
        Command::ServeLite(args) => serve_lite::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Backfill(args) => backfill::run(args, context).await,
        Command::Init(args) => init::run(args, context).await,
        Command::Demo(args) => demo::run(args, context).await,
        Command::Watch(args) => watch::run(args, context).await,
        Command::Cohort(args) => cohort::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Runs(args) => runs::run(args, context).await,
        Command::Costs(args) => costs::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Quarantine(args) => quarantine::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Lake(args) => lake::run(args, context).await,
        Command::Db(args) => db::run(args, context).await,
        Command::Keys(args) => keys::run(args, context).await,
        Command::Config(args) => config::run(args, context).await,
        Command::Gen(args) => generate::run(args, context).await,
        Command::Completions(args) => completions::run(args, context).await,
        Command::Man(args) => man::run(args, context).await,
        Command::Version(args) => version::run(args, context).await,
    }
}

/// Runs the program: the exit code is the one of `cli.md` in every case.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let json = failure::wants_json(&arguments);
    let (global, command) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return failure::usage(&error, json),
    };
    let mut ui = Ui::new(UiOptions {
        quiet: global.quiet,
        json,
        no_progress: global.no_progress,
        color: global.color,
    });
    ui.repeated.clone_from(&global.repeated);
    let run_id = RunIdSlot::default();
    let outcome = match start(global, command, &ui, &run_id) {
        Ok(outcome) => outcome,
        Err(error) => failure::report(&error, &ui, run_id.get()),
    };
    match ui.take_stdout_failure() {
        Some(error) => failure::report(
            &anyhow::Error::from(error).context("failed to write to stdout"),
            &ui,
            run_id.get(),
        ),
        None => outcome,
    }
    .exit_code()
    .into()
}

fn parse(arguments: Vec<std::ffi::OsString>) -> Result<(GlobalArgs, Command), clap::Error> {
    let color = failure::wanted_color(&arguments);
    let matches = Cli::command().color(color).try_get_matches_from(arguments)?;
    let (command_line, repeated) = (command_line(&matches), repeated(&matches));
    let Cli { mut global, command } = Cli::from_arg_matches(&matches)?;
    (global.command_line, global.repeated) = (command_line, repeated);
    Ok((global, command))
}

/// ` --workspace eu` of `amzctl --workspace eu watch add B0…`; a variable needs no repeating.
fn repeated(matches: &clap::ArgMatches) -> String {
    let is_typed = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let typed = ["config", "workspace"].into_iter().filter(is_typed);
    let said = typed.filter_map(|name| {
        let value = matches.get_raw(name)?.next()?.to_string_lossy();
        let value = if value.contains(' ') { format!("'{value}'") } else { value.into_owned() };
        Some(format!(" --{name} {value}"))
    });
    said.collect()
}

/// `watch add` of `amzctl -q watch add B0…`.
fn command_line(matches: &clap::ArgMatches) -> String {
    let mut words = Vec::new();
    let mut inner = matches;
    while let Some((name, next)) = inner.subcommand() {
        words.push(name);
        inner = next;
    }
    words.join(" ")
}

fn start(global: GlobalArgs, command: Command, ui: &Ui, run_id: &RunIdSlot) -> anyhow::Result<Outcome> {
    let clock = clock()?;
    let config = configuration(&global, command.needs_config())?;
    let stderr = ui.clone();
    let write = Arc::new(move |line: &str| stderr.complain(line));
    let log = logging::start(&global.log_options(), clock, write, run_id.clone())?;
    let logs_to_file = log.is_some();
    let context = Context::new(config, clock, ui.clone(), global, run_id.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let result = runtime.block_on(async {
        signals::watch(&context, log)?;
        let result = tokio::select! {
            result = dispatch(command, &context) => result,
            lapse = context.lapse() => Err(lapse),
        };
        if let Err(error) = &result {
            let (outcome, _) = classify(error);
            if logs_to_file && outcome != Outcome::Done {
                // On stderr the person reads it anyway.
                tracing::error!(exit_code = outcome.exit_code(), "{error:#}");
            }
            // The command's own failure is what matters; the ledger only says a little less without this.
            let _ = context.fail_open_run(outcome, &format!("{error:#}")).await;
        }
        context.close_stores().await;
        result
    });
    // A blocking read of a terminal would hold the end of the program up.
    runtime.shutdown_background();
    let Some(stopped) = context.stop_requested() else { return result };
    match result {
        Ok(outcome) => Ok(outcome.and(stopped)),
        // A stage only says that it was stopped; the signal says how the program ends.
        Err(error) if classify(&error).0 == Outcome::Interrupted => {
            Err(Failure::new(stopped, format!("{error:#}")).into())
        }
        Err(error) => Err(error),
    }
}

impl GlobalArgs {
    fn log_options(&self) -> logging::Options {
        logging::Options { file: self.log_file.clone(), format: self.log_format, verbosity: self.verbose }
    }
}

fn clock() -> anyhow::Result<Clock> {
    match std::env::var(NOW_VARIABLE) {
        Ok(text) => {
            let now = text.parse().map_err(|_| {
                Failure::usage(format!("{NOW_VARIABLE}: `{text}` is not an instant"))
                    .hint("give it as 2026-03-01T12:00:00Z, or unset it")
            })?;
            Ok(Clock::Fixed(now))
        }
        Err(_) => Ok(Clock::System),
    }
}

/// The configuration; the default one for commands that work without, when the real one is missing or not valid.
fn configuration(global: &GlobalArgs, is_needed: bool) -> anyhow::Result<Config> {
    let options =
        LoadOptions::from_process(global.config.clone()).context("failed to find the working directory")?;
    match load(&options) {
        Ok(Loaded { config, .. }) => Ok(config),
        Err(error) if is_needed => Err(error.into()),
        Err(_) => {
            let blank = LoadOptions { file: None, folder: "/".into(), ..LoadOptions::default() };
            Ok(load(&blank)?.config)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }
}
