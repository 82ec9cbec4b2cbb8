//! `report`: a product, a cohort or the watchlist as a page, a text or JSON.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::json;

use super::compare::unknown_cohort;
use super::context::Context;
use super::dates::DayArg;
use super::products::known_key;
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::model::{Day, Marketplace, ProductRef};
use crate::render::ReportFormat;
use crate::stages::report::{self, Options, Rendered, Subject};
use crate::store::Store;
use crate::store::alerts::WORKSPACE;

/// Days of a report's window where none are given.
const PRODUCT_DAYS: u16 = 90;
const WATCHLIST_DAYS: u16 = 30;
/// The folder of pages that no file is named for, beside the configuration.
const FOLDER: &str = "reports";

/// Report on a product, a cohort or the whole watchlist
///
/// HTML is one self-contained page: charts inline, no network, light and dark, fit for print and phone. It is
/// written to reports/<subject>-<day>.html beside the configuration unless -o names a file; the other formats go
/// to stdout. Every render is recorded; the same evidence again adds nothing.
#[allow(rustdoc::invalid_html_tags, reason = "the text is the help, where <subject> stands for a name")]
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// The product: B0…, UK:B0… or a URL [default: the watchlist]
    #[arg(value_name = "PRODUCT")]
    pub product: Option<ProductRef>,

    /// Report on this cohort: its main product, with all members over one another
    #[arg(long, value_name = "NAME", conflicts_with = "product")]
    pub cohort: Option<String>,

    /// Report on the watchlist: movers, alerts, freshness
    #[arg(long, conflicts_with_all = ["product", "cohort"])]
    pub watchlist: bool,

    /// Marketplace of a plain ASIN
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    /// Days of the charts and alerts [default: 90; for the watchlist 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=730))]
    pub days: Option<u16>,

    /// The day to report as of [default: the newest day seen]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub as_of: Option<DayArg>,

    /// Print for a terminal, as Markdown, as JSON, or write a page
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<Format>,

    /// Print JSON, the same as --format json
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    pub json: bool,

    /// Write to a file, replaced whole or not at all; `-` for stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    Table,
    Markdown,
    Html,
    Json,
}

pub(super) async fn run(args: ReportArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let subject = subject(&args, &store, context).await?;
    let as_of = as_of(&args, &subject, &store, context).await?;
    let format = format(&args, context);
    let guard = context.begin_run(&store, "report").await?;
    let path = path(&args, &subject, as_of, format, context);
    if let Some(folder) = default_folder(&args, path.as_deref()) {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let default_days = if subject == Subject::Watchlist { WATCHLIST_DAYS } else { PRODUCT_DAYS };
    let options = Options {
        workspace: WORKSPACE.to_owned(),
        subject,
        as_of,
        days: args.days.unwrap_or(default_days).into(),
        zone: context.config.zone,
        format,
        path,
        run_id: guard.run_id.clone(),
        now: context.clock.now(),
    };
    let lake = Lake::new(&context.config.lake_root);
    let rendered = report::run(&store, &lake, &options).await?;
    guard.finish(Outcome::Done, &json!({ "report": rendered.summary })).await?;
    announce(&rendered, context);
    Ok(Outcome::Done)
}

fn announce(rendered: &Rendered, context: &Context) {
    let Some(path) = &rendered.summary.path else {
        context.ui.data(&rendered.text);
        return;
    };
    let again = if rendered.summary.is_new { "" } else { ", the same evidence as before" };
    context.ui.note(&format!("wrote {} ({} bytes{again})", path.display(), rendered.summary.size_bytes));
}

async fn subject(args: &ReportArgs, store: &Store, context: &Context) -> anyhow::Result<Subject> {
    if let Some(name) = &args.cohort {
        if let Some(cohort) = store.load_cohort(name).await.context("failed to load the cohort")? {
            return Ok(Subject::Cohort(cohort));
        }
        let cohorts = store.load_cohorts().await.context("failed to load cohorts")?;
        return Err(unknown_cohort(name, &cohorts));
    }
    match args.product {
        Some(product) => Ok(Subject::Product(known_key(product, args.marketplace, store, context).await?)),
        None => Ok(Subject::Watchlist),
    }
}

async fn as_of(
    args: &ReportArgs,
    subject: &Subject,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Day> {
    if let Some(day) = args.as_of {
        return Ok(day.resolve(context.today()));
    }
    let marketplace = match subject {
        Subject::Product(key) => Some(key.marketplace),
        Subject::Cohort(cohort) => Some(cohort.main.marketplace),
        Subject::Watchlist => None,
    };
    let newest = store.newest_day(marketplace).await.context("failed to find the newest day")?;
    newest.ok_or_else(|| {
        Failure::usage("nothing was seen yet").hint("`amzctl ingest FILE`, then `amzctl normalize`").into()
    })
}

fn format(args: &ReportArgs, context: &Context) -> ReportFormat {
    match args.format.unwrap_or(if args.json { Format::Json } else { Format::Table }) {
        Format::Table => ReportFormat::Table { width: context.ui.width },
        Format::Markdown => ReportFormat::Markdown,
        Format::Html => ReportFormat::Html,
        Format::Json => ReportFormat::Json,
    }
}

/// The file to write; null for stdout.
fn path(
    args: &ReportArgs,
    subject: &Subject,
    as_of: Day,
    format: ReportFormat,
    context: &Context,
) -> Option<PathBuf> {
    match &args.output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.clone()),
        None if format == ReportFormat::Html => {
            let beside = context.config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
            Some(beside.join(FOLDER).join(subject.file_name(as_of, format)))
        }
        None => None,
    }
}

/// The folder that is made when it is missing: only the one that nobody named.
fn default_folder<'a>(args: &ReportArgs, path: Option<&'a Path>) -> Option<&'a Path> {
    if args.output.is_some() { None } else { path?.parent() }
}
