//! `report`: a product, a cohort or the watchlist as a page, a text or JSON.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::json;

use super::alert;
use super::cohort::known_cohort;
use super::context::Context;
use super::dates::DayArg;
use super::products::{known_key, not_seen};
use crate::error::{Failure, Outcome};
use crate::files::AtomicFile;
use crate::lake::Lake;
use crate::model::{Day, DayRange, Marketplace, ProductKey, ProductRef};
use crate::render::ReportFormat;
use crate::stages::report::{self, Options, Rendered, Subject};
use crate::store::{Store, StoreError};

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

    /// Say where the report would go and how large it is; write and record nothing
    #[arg(long)]
    pub dry_run: bool,
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
    let default_days = if subject == Subject::Watchlist { WATCHLIST_DAYS } else { PRODUCT_DAYS };
    let days = args.days.unwrap_or(default_days).into();
    if args.as_of.is_some() {
        check_seen(&subject, DayRange::window(as_of, days), &store, context).await?;
    }
    let format = format(&args, context);
    let path = path(&args, &subject, as_of, format, context);
    let lake = Lake::new(&context.config.lake_root);
    let options = Options {
        workspace: context.workspace().clone(),
        subject,
        as_of,
        days,
        zone: context.config.zone,
        format,
        path,
        run_id: None,
        audience: alert::audience(context),
        now: context.clock.now(),
        dry_run: args.dry_run,
    };
    let made_folder = default_folder(&args, options.path.as_deref()).map(Path::to_owned);
    if args.dry_run {
        if let Some(path) = options.path.as_ref().filter(|_| made_folder.is_none()) {
            // Begun to see that it could be written, and dropped.
            AtomicFile::create(path).with_context(|| format!("failed to write {}", path.display()))?;
        }
        let Rendered { summary, .. } = report::run(&store, &lake, &options).await?;
        let to = summary.path.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        context
            .ui
            .note(&format!("dry run, nothing written: a report to {to} ({} bytes)", summary.size_bytes));
        return Ok(Outcome::Done);
    }
    let guard = match context.begin_run(&store, "report").await {
        Ok(guard) => Some(guard),
        Err(error) if is_for_readers_only(&error) => None,
        Err(error) => return Err(error),
    };
    let options = Options { run_id: guard.as_ref().map(|guard| guard.run_id.clone()), ..options };
    if let Some(folder) = made_folder {
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let rendered = report::run(&store, &lake, &options).await?;
    match guard {
        Some(guard) => guard.finish(Outcome::Done, &json!({ "report": rendered.summary })).await?,
        None => context.ui.note("not recorded: this role of the database server may only read"),
    }
    announce(&rendered, context);
    context.ui.note(&format!("next: {}", next_after(&options.subject)));
    Ok(Outcome::Done)
}

/// A report can be read without being recorded; nothing else that a report needs is refused to a reading role.
fn is_for_readers_only(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(StoreError::NotPermitted(_))))
}

/// Where a reader of the report goes on.
fn next_after(subject: &Subject) -> String {
    match subject {
        Subject::Product(key) => format!("`amzctl explain {key}` for where its figures come from"),
        Subject::Cohort(cohort) => {
            format!("`amzctl explain {}` for where its figures come from", cohort.main)
        }
        Subject::Watchlist => "`amzctl report PRODUCT` for one of them".to_owned(),
    }
}

/// Errors: usage when none of what is reported on was seen on these days.
async fn check_seen(
    subject: &Subject,
    range: DayRange,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    let keys: Vec<ProductKey> = match subject {
        Subject::Product(key) => vec![*key],
        Subject::Cohort(cohort) => {
            std::iter::once(cohort.main).chain(cohort.competitors.iter().map(|one| one.key)).collect()
        }
        Subject::Watchlist => {
            let watched = store.load_watchlist(context.workspace()).await?;
            watched.into_iter().map(|watched| watched.item.key).collect()
        }
    };
    if keys.is_empty() || !store.load_daily(&keys, range).await?.is_empty() {
        return Ok(());
    }
    Err(not_seen(&keys, range, store).await?.into())
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
        return Ok(Subject::Cohort(known_cohort(name, store, context).await?));
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
            let folder = match context.workspace() {
                main if main.is_main() => beside.join(FOLDER),
                workspace => beside.join(FOLDER).join(workspace.as_str()),
            };
            Some(folder.join(subject.file_name(as_of, format)))
        }
        None => None,
    }
}

/// The folder that is made when it is missing: only the one that nobody named.
fn default_folder<'a>(args: &ReportArgs, path: Option<&'a Path>) -> Option<&'a Path> {
    if args.output.is_some() { None } else { path?.parent() }
}
