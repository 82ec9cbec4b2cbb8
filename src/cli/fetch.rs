//! Asking providers, as `ingest` and `run` do: which are configured, what is planned, what was done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::OutputArgs;
use super::alert;
use super::context::Context;
use super::output::counted;
use super::products::{known_keys, named_products};
use super::ui::Line;
use crate::config::Config;
use crate::deps::{self, Purpose};
use crate::error::{Failure, Outcome};
use crate::model::{DayRange, Tier};
use crate::render::rows::{Cell, Format, Rows, instant_to_second, printable};
use crate::sources::budget::dollars;
use crate::sources::retry::SharedRetries;
use crate::stages::fetch::{
    self, Configured, Options, PlanLine, SecondLooks, Selection, SourceSummary, Summary, Told,
};
use crate::store::Store;

/// Which products are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, clap::Args)]
pub(super) struct SelectionArgs {
    /// Only these products: ASIN, MARKETPLACE:ASIN, URL, a file of them, or -
    #[arg(long, value_name = "PRODUCT", num_args = 1.., help_heading = "Products")]
    pub only: Vec<String>,

    /// Only products of this tier
    #[arg(long, value_name = "TIER", value_parser = parse_tier, help_heading = "Products")]
    pub tier: Option<Tier>,

    /// At most so many, the most critical first
    #[arg(long, value_name = "COUNT", help_heading = "Products")]
    pub limit: Option<usize>,
}

impl SelectionArgs {
    /// Errors: products are chosen where files are read.
    pub(super) fn refuse_for_files(&self) -> Result<(), Failure> {
        if *self == SelectionArgs::default() {
            return Ok(());
        }
        Err(Failure::usage("--only, --tier and --limit choose watched products, not records of files"))
    }
}

fn parse_tier(text: &str) -> Result<Tier, String> {
    Tier::from_word(text).ok_or_else(|| "it is critical, routine or weekly".to_owned())
}

/// The names of all sources that some product may be asked at, in the order of the default chain.
pub(super) async fn source_names(store: &Store, config: &Config) -> anyhow::Result<Vec<String>> {
    let mut names = config.settings.sources.chain.clone();
    let own = store.load_watched_sources().await.context("failed to read the watchlist")?;
    names.extend(own.into_iter().filter(|name| !config.settings.sources.chain.contains(name)));
    // Other names of watch items are of files that somebody delivers.
    names.retain(|name| crate::model::check_live_source(name).is_ok());
    Ok(names)
}

/// The sources that can be asked, and what is wrong with the keys of the others.
///
/// Errors: a section that cannot work; all keys are missing.
fn sources(
    names: &[String],
    context: &Context,
    purpose: Purpose,
) -> anyhow::Result<(Vec<Configured>, Vec<Failure>)> {
    let (mut sources, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match deps::source(name, &context.config, context.clock, purpose) {
            Ok(source) => sources.push(source),
            Err(failure) if failure.outcome == Outcome::Credentials => missing.push(failure),
            Err(failure) => return Err(failure.into()),
        }
    }
    match missing.is_empty() || !sources.is_empty() {
        true => Ok((sources, missing)),
        false => Err(missing.swap_remove(0).into()),
    }
}

/// The retry budget of a run.
fn retries(run_id: &str) -> SharedRetries {
    let seed = run_id.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    SharedRetries::new(seed)
}

pub(super) async fn selection(
    args: &SelectionArgs,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Selection> {
    let named = named_products(&args.only)?;
    let keys = known_keys(&named, None, store, context).await?;
    keys.note_duplicates(context);
    let only: BTreeSet<_> = keys.keys.into_iter().collect();
    if !only.is_empty() {
        let watched =
            store.load_watchlist(context.workspace()).await.context("failed to read the watchlist")?;
        let known: BTreeSet<_> = watched.iter().map(|watched| watched.item.key).collect();
        if let Some(unknown) = only.iter().find(|key| !known.contains(key)) {
            return Err(Failure::usage(format!("{unknown} is not watched"))
                .hint(format!("`amzctl watch add {unknown}`, then ask for it"))
                .into());
        }
    }
    Ok(Selection { only, tier: args.tier, limit: args.limit, ..Selection::default() })
}

/// Everything a fetch needs beside the store.
pub(super) struct Ask {
    pub(super) run_id: String,
    pub(super) selection: Selection,
    pub(super) deadline: Option<Duration>,
    pub(super) history: Option<DayRange>,
    pub(super) second: Option<SecondLooks>,
    pub(super) dry_run: bool,
}

impl Ask {
    /// Everything that is due.
    pub(super) fn all(run_id: String, dry_run: bool) -> Ask {
        Ask { run_id, selection: Selection::default(), deadline: None, history: None, second: None, dry_run }
    }
}

pub(super) async fn fetch(
    store: &Store,
    context: &Context,
    names: &[String],
    ask: Ask,
) -> anyhow::Result<Summary> {
    let retries = retries(&ask.run_id);
    let purpose = if ask.dry_run { Purpose::Planning } else { Purpose::Asking };
    let (sources, missing) = sources(names, context, purpose)?;
    for failure in &missing {
        let hint = failure.hints.first().map(|hint| format!("; {hint}")).unwrap_or_default();
        context.ui.complain(&format!("{}{hint}", failure.message));
    }
    let options = Options {
        run_id: ask.run_id,
        selection: ask.selection,
        default_chain: match ask.history {
            Some(_) => names.to_vec(),
            None => context.config.settings.sources.chain.clone(),
        },
        zone: context.config.zone,
        deadline: ask.deadline,
        tolerate_failed_pct: context.config.settings.run.tolerate_failed_pct,
        audience: Arc::new(alert::audience(context)),
        history: ask.history,
        second: ask.second,
        dry_run: ask.dry_run,
    };
    let progress = context.ui.progress_rows(0);
    let told = |told: Told<'_>| match told {
        Told::Settled { done, total, sources } => {
            progress.set_length(total);
            progress.set_message(&spent(sources));
            progress.set_position(done);
        }
        Told::Others { products } => {
            let products = counted(products, "product");
            context.ui.note(&format!("waiting for {products} that other hosts ask for"));
        }
        Told::Waiting { source, until, reason } => {
            let until = instant_to_second(until);
            context.ui.note(&format!("{source}: waiting until {until}: {}", printable(reason)));
        }
    };
    let summary =
        fetch::run(store, context.clock, &context.cancel(), retries, &sources, &told, &options).await;
    progress.finish();
    let mut summary = summary?;
    summary.keys_missing = missing.len() as u64;
    Ok(summary)
}

/// What each source has told and taken so far: `keepa 300: 900 tokens, apify 12: $0.02`.
fn spent(sources: &[SourceSummary]) -> String {
    let asked = sources.iter().filter(|source| source.requests > 0);
    let each = asked.map(|source| {
        let spent = match source.micros {
            Some(micros) if micros > 0 => format!("${}", dollars(micros)),
            _ => format!("{} {}", source.units, source.unit),
        };
        format!("{} {}: {spent}", source.source, source.fetched)
    });
    each.collect::<Vec<_>>().join(", ")
}

/// `ingest` without a path: what is due, from the providers.
pub(super) async fn run(
    selection_args: &SelectionArgs,
    deadline: Option<Duration>,
    dry_run: bool,
    output: &OutputArgs,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let names = source_names(&store, &context.config).await?;
    if names.is_empty() {
        return Err(Failure::usage("no path was given, and no provider is configured")
            .hint("name files to read, or set `chain` under [sources] to the providers to ask")
            .into());
    }
    let selection = selection(selection_args, &store, context).await?;
    let ask = |run_id: String| Ask { selection: selection.clone(), deadline, ..Ask::all(run_id, dry_run) };
    if dry_run {
        let summary = fetch(&store, context, &names, ask(String::new())).await?;
        emit_plan(&summary, output, context)?;
        context.ui.note("dry run: nobody was asked, nothing written");
        return Ok(Outcome::Done);
    }
    let (run, share) = context.begin_asking(&store, "ingest").await?;
    let summary = fetch(&store, context, &names, ask(run.run_id.clone())).await?;
    share.release().await?;
    run.finish(summary.outcome(), &serde_json::json!({ "fetch": summary })).await?;
    context.ui.say(&lines(&summary));
    if summary.cancelled {
        let reason = context.cancel().outcome().unwrap_or(Outcome::Interrupted);
        return Err(Failure::new(reason, "stopped between two requests; run it again to go on").into());
    }
    if store.has_unread().await? {
        context.ui.note("next: `amzctl normalize`");
    }
    Ok(summary.outcome())
}

#[derive(Serialize)]
struct PlanDocument<'a> {
    schema: &'static str,
    due: u64,
    not_due: u64,
    paused: u64,
    beyond_limit: u64,
    /// Watched products that no configured provider serves.
    unserved: u64,
    requests: u64,
    /// Millionths of a dollar; null: the price of some request is not known.
    usd_micros: Option<i64>,
    sources: &'a [PlanLine],
}

/// The plan as a table or a document.
pub(super) fn emit_plan(summary: &Summary, output: &OutputArgs, context: &Context) -> anyhow::Result<()> {
    let requests = summary.plan.iter().map(|line| line.requests).sum();
    let micros = summary.plan.iter().map(|line| line.micros).sum::<Option<i64>>();
    if output.format() == Format::Json && output.fields.is_none() {
        let document = PlanDocument {
            schema: "amzctl.plan/1",
            due: summary.due,
            not_due: summary.not_due,
            paused: summary.paused,
            beyond_limit: summary.beyond_limit,
            unserved: summary.unserved,
            requests,
            usd_micros: micros,
            sources: &summary.plan,
        };
        return output.write(&(serde_json::to_string_pretty(&document)? + "\n"), context);
    }
    let columns = ["source", "operation", "products", "requests", "units", "unit", "usd", "seconds"];
    let mut rows = Rows::new("amzctl.plan/1", &columns);
    for line in &summary.plan {
        rows.push(vec![
            line.source.into(),
            line.operation.into(),
            line.products.into(),
            line.requests.into(),
            line.units.into(),
            line.unit.into(),
            line.micros.map_or(Cell::Null, |micros| dollars(micros).into()),
            line.seconds.into(),
        ]);
    }
    output.emit(&rows, context)?;
    context.ui.say(&plan_lines(summary));
    Ok(())
}

/// The plan in a sentence.
pub(super) fn plan_lines(summary: &Summary) -> Vec<Line> {
    let mut line = format!("plan: {} due", counted(summary.due, "product"));
    for (number, what) in [
        (summary.not_due, not_due_words(summary)),
        (summary.paused, "paused"),
        (summary.beyond_limit, "beyond the limit"),
        (summary.unserved, "served by no configured provider"),
    ] {
        if number > 0 {
            line += &format!(", {number} {what}");
        }
    }
    let unpriced: Vec<&str> =
        summary.plan.iter().filter(|line| line.micros.is_none()).map(|line| line.source).collect();
    let known: i64 = summary.plan.iter().filter_map(|line| line.micros).sum();
    line += &format!("; estimated ${}", dollars(known));
    let unpriced: BTreeSet<&str> = unpriced.into_iter().collect();
    if !unpriced.is_empty() {
        let names: Vec<&str> = unpriced.into_iter().collect();
        line += &format!(" beside {}, whose price is not configured", names.join(" and "));
    }
    let obstacles = summary.plan.iter().filter_map(|plan| {
        let obstacle = plan.obstacle.as_deref()?;
        Some(Line::Complaint(format!("{}: {}", plan.source, printable(obstacle))))
    });
    std::iter::once(Line::Note(line)).chain(obstacles).collect()
}

fn not_due_words(summary: &Summary) -> &'static str {
    if summary.is_backfill { "asked for these days before" } else { "fetched in their slot already" }
}

/// What a fetch did, a line each.
pub(super) fn lines(summary: &Summary) -> Vec<Line> {
    if summary.dry_run {
        return plan_lines(summary);
    }
    let mut line = format!("fetch: {} due, {} fetched", counted(summary.due, "product"), summary.fetched);
    for (number, what) in [
        (summary.failed, "failed"),
        (summary.left, "left"),
        (summary.elsewhere, "by other hosts"),
        (summary.not_due, "not due"),
        (summary.unserved, "served by no configured provider"),
        (summary.resumed, "earlier requests taken up"),
        (summary.lost, "requests of a killed run counted as lost"),
    ] {
        if number > 0 {
            line += &format!(", {number} {what}");
        }
    }
    line += &format!("; {} landed", counted(summary.landed, "record"));
    let mut lines = vec![Line::Note(line)];
    for source in summary.sources.iter().filter(|source| source.requests > 0 || source.stopped.is_some()) {
        let mut line = format!(
            "{}: {}, {} products, {} {}",
            source.source,
            counted(source.requests, "request"),
            source.fetched,
            source.units,
            source.unit
        );
        match source.micros {
            Some(0) => {}
            Some(micros) => line += &format!(", ${}", dollars(micros)),
            None => line += ", price not known",
        }
        if source.as_fallback > 0 {
            line += &format!(", {} of them after another source had failed", source.as_fallback);
        }
        lines.push(Line::Note(line));
        if let Some(reason) = &source.stopped {
            let (name, reason) = (source.source, printable(reason));
            let section = name.replace('-', "_");
            let fix = if source.is_refused {
                format!("; check the key named under [{section}]")
            } else {
                String::new()
            };
            lines.push(Line::Complaint(format!("{name} stopped: {reason}{fix}")));
        }
    }
    lines.extend(summary.incidents.iter().map(|incident| Line::Complaint(format!("incident: {incident}"))));
    for (fault, count) in &summary.faults {
        let example = summary.examples.get(fault).map_or("", String::as_str);
        let products = counted(count, "product");
        lines.push(Line::Complaint(format!("{products} not fetched: {fault}: {}", printable(example))));
    }
    lines
}
