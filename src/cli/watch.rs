//! `watch`: the list of products that are fetched, how often, and whose they are.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;

use super::OutputArgs;
use super::context::Context;
use super::output::counted;
use super::products::{self, Keys, named_products, note_duplicates, read_list};
use super::roles::{parse_watchlist, words};
use crate::error::{Failure, Outcome};
use crate::model::{Marketplace, Relation, Tier};
use crate::render::rows::Rows;
use crate::store::Store;
use crate::store::watch::{Effect, WatchChange, Watched};

/// Say which products are watched, how often, and whose they are
///
/// A product is an ASIN, MARKETPLACE:ASIN or a product URL. In place of products a file with one a line may be given,
/// or - for stdin.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct WatchArgs {
    #[command(subcommand)]
    command: WatchCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum WatchCommand {
    /// Watch products, or change how watched ones are watched
    Add(AddArgs),
    /// Watch the products of a file: CSV with a header, ASIN,role lines, or one product a line
    ///
    /// A header has `asin` or `url`, and may have marketplace, tier, relation (or role), tags, label, source_chain.
    /// Nothing is written when a line is bad.
    Import(ImportArgs),
    /// List what is watched
    List(ListArgs),
    /// Add and remove tags
    Tag(TagArgs),
    /// Stop fetching products until they are resumed
    Pause(SelectArgs),
    /// Fetch paused products again
    Resume(SelectArgs),
    /// Take products off the list; their history stays
    Rm(RmArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct SelectArgs {
    /// ASIN, MARKETPLACE:ASIN, URL, a file of such lines, or - for stdin
    #[arg(required = true, value_name = "PRODUCT")]
    products: Vec<String>,

    /// Marketplace of plain ASINs
    #[arg(long, value_name = "CODE")]
    marketplace: Option<Marketplace>,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct RmArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Remove without asking
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct AddArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// How often: critical (every six hours), routine (daily; the default) or weekly
    #[arg(long, value_parser = PossibleValuesParser::new(Tier::ALL.iter().map(|tier| tier.as_str())))]
    tier: Option<String>,

    /// The product is ours; without it a new product is a rival's
    #[arg(long, conflicts_with = "rival")]
    own: bool,

    /// The product is a rival's
    #[arg(long)]
    rival: bool,

    /// Add a tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// Name for tables and reports
    #[arg(long)]
    label: Option<String>,

    /// Sources in the order they are tried, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    source_chain: Option<Vec<String>>,
}

#[derive(Clone, Debug, clap::Args)]
struct ImportArgs {
    /// File, or - for stdin
    file: PathBuf,

    /// Marketplace of plain ASINs
    #[arg(long, value_name = "CODE")]
    marketplace: Option<Marketplace>,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    /// Only products of this marketplace
    #[arg(long, value_name = "CODE")]
    marketplace: Option<Marketplace>,

    /// Only products with this tag
    #[arg(long)]
    tag: Option<String>,

    /// Only products of this tier
    #[arg(long, value_parser = PossibleValuesParser::new(Tier::ALL.iter().map(|tier| tier.as_str())))]
    tier: Option<String>,

    /// Only our own products
    #[arg(long, conflicts_with = "rival")]
    own: bool,

    /// Only rivals' products
    #[arg(long)]
    rival: bool,

    /// Only paused products
    #[arg(long)]
    paused: bool,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct TagArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Add a tag; may be repeated
    #[arg(long, value_name = "TAG", required_unless_present = "remove")]
    add: Vec<String>,

    /// Remove a tag; may be repeated
    #[arg(long, value_name = "TAG")]
    remove: Vec<String>,
}

pub(super) async fn run(args: WatchArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    match args.command {
        WatchCommand::Add(args) => add(args, &store, context).await?,
        WatchCommand::Import(args) => import(args, &store, context).await?,
        WatchCommand::List(args) => list(args, &store, context).await?,
        WatchCommand::Tag(args) => tag(args, &store, context).await?,
        WatchCommand::Pause(args) => pause(args, true, &store, context).await?,
        WatchCommand::Resume(args) => pause(args, false, &store, context).await?,
        WatchCommand::Rm(args) => remove(args, &store, context).await?,
    }
    Ok(Outcome::Done)
}

async fn add(args: AddArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let named = named_products(&args.select.products)?;
    let keys = products::new_keys(&named, context.marketplace_or_default(args.select.marketplace))?;
    keys.note_duplicates(context);
    let relation = match (args.own, args.rival) {
        (true, _) => Some(Relation::Own),
        (_, true) => Some(Relation::Rival),
        _ => None,
    };
    let tags = checked_tags(&args.tags)?;
    let change = |key| WatchChange {
        tier: args.tier.as_deref().and_then(Tier::from_word),
        relation,
        tags: tags.clone(),
        source_chain: args.source_chain.clone(),
        label: args.label.clone(),
        ..WatchChange::of(key)
    };
    let changes: Vec<WatchChange> = keys.keys.into_iter().map(change).collect();
    save(&changes, args.select.dry_run, store, context).await
}

async fn import(args: ImportArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let text = read_list(&args.file)?;
    let read = parse_watchlist(&args.file, &text, context.marketplace_or_default(args.marketplace))?;
    let (mut seen, lines) = (BTreeSet::new(), read.len());
    let changes: Vec<WatchChange> = read.into_iter().filter(|change| seen.insert(change.key)).collect();
    note_duplicates(lines - changes.len(), context);
    save(&changes, args.dry_run, store, context).await
}

async fn save(
    changes: &[WatchChange],
    dry_run: bool,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    let effect = store.save_watch(context.workspace(), changes, context.clock.now(), dry_run).await?;
    let would = if dry_run { "dry run, nothing written: " } else { "" };
    context.ui.note(&format!("{would}{}", told(effect)));
    if !dry_run && effect.added > 0 {
        let next = match context.config.settings.sources.chain.is_empty() {
            true => "next: `amzctl ingest FILE` to land data, `amzctl watch list` to see the list",
            false => "next: `amzctl ingest --dry-run` for what asking would cost, `amzctl ingest` to ask",
        };
        context.ui.note(next);
    }
    Ok(())
}

/// `12 added, 1 changed, 3 unchanged`, without the zeros.
pub(super) fn told(effect: Effect) -> String {
    let parts = [(effect.added, "added"), (effect.changed, "changed"), (effect.unchanged, "unchanged")];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if said.is_empty() { "nothing to do".to_owned() } else { said.join(", ") }
}

async fn list(args: ListArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let is_wanted = |Watched { item, .. }: &Watched| {
        args.marketplace.is_none_or(|marketplace| item.key.marketplace == marketplace)
            && args.tag.as_ref().is_none_or(|tag| item.tags.contains(tag))
            && args.tier.as_ref().is_none_or(|tier| item.tier.as_str() == tier)
            && (!args.own || item.relation == Relation::Own)
            && (!args.rival || item.relation == Relation::Rival)
            && (!args.paused || item.paused)
    };
    let watched = store.load_watchlist(context.workspace()).await?;
    let mut rows = Rows::new(
        "amzctl.watch/1",
        &[
            "marketplace",
            "asin",
            "tier",
            "relation",
            "tags",
            "paused",
            "last_day",
            "title",
            "label",
            "source_chain",
            "added_at",
        ],
    );
    for Watched { item, title, last_day } in watched.iter().filter(|watched| is_wanted(watched)) {
        rows.push(vec![
            item.key.marketplace.into(),
            item.key.asin.into(),
            item.tier.as_str().into(),
            item.relation.as_str().into(),
            item.tags.join(",").into(),
            item.paused.into(),
            (*last_day).into(),
            title.as_ref().into(),
            item.label.as_str().into(),
            item.source_chain.join(",").into(),
            item.added_at.into(),
        ]);
    }
    if rows.is_empty() {
        let none =
            if watched.is_empty() { "nothing is watched: `amzctl watch add UK:ASIN`" } else { "no match" };
        context.ui.note(none);
    }
    let table = ["marketplace", "asin", "tier", "relation", "tags", "paused", "last_day", "title"];
    args.output.emit_columns(&rows, &table, context)
}

async fn tag(args: TagArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let keys = selected(&args.select, store, context).await?;
    let (add, remove) = (checked_tags(&args.add)?, checked_tags(&args.remove)?);
    let changed = store.tag_watched(context.workspace(), &keys, &add, &remove, args.select.dry_run).await?;
    tell_changed("tagged", changed, keys.len(), &args.select, context);
    tell_next(changed, &args.select, context);
    Ok(())
}

async fn pause(args: SelectArgs, paused: bool, store: &Store, context: &Context) -> anyhow::Result<()> {
    let keys = selected(&args, store, context).await?;
    let changed = store.pause_watched(context.workspace(), &keys, paused, args.dry_run).await?;
    tell_changed(if paused { "paused" } else { "resumed" }, changed, keys.len(), &args, context);
    if paused && changed > 0 && !args.dry_run {
        let product = if let [key] = keys.as_slice() { key.to_string() } else { "PRODUCT…".to_owned() };
        context.ui.note(&format!("next: `amzctl watch resume {product}` when it is to be fetched again"));
    } else {
        tell_next(changed, &args, context);
    }
    Ok(())
}

async fn remove(args: RmArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let RmArgs { select: args, yes } = args;
    let keys = selected(&args, store, context).await?;
    let question = format!("take {} off the list?", counted(keys.len(), "product"));
    if !args.dry_run && !yes && !context.ui.confirm(&question)? {
        return Err(Failure::usage("nothing was removed").hint("confirm with --yes").into());
    }
    let removed = store.remove_watched(context.workspace(), &keys, args.dry_run).await?;
    tell_changed("removed", removed, keys.len(), &args, context);
    tell_next(removed, &args, context);
    Ok(())
}

fn tell_changed(verb: &str, changed: usize, asked: usize, args: &SelectArgs, context: &Context) {
    let would = if args.dry_run { "dry run, nothing written: " } else { "" };
    let rest = if changed < asked { format!(", {} unchanged", asked - changed) } else { String::new() };
    context.ui.note(&format!("{would}{changed} {verb}{rest}"));
}

fn tell_next(changed: usize, args: &SelectArgs, context: &Context) {
    if changed > 0 && !args.dry_run {
        context.ui.note("next: `amzctl watch list`");
    }
}

/// The watched products that were named. Errors: usage when one of them is not watched.
async fn selected(
    args: &SelectArgs,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Vec<crate::model::ProductKey>> {
    let named = named_products(&args.products)?;
    let keys: Keys = products::known_keys(&named, args.marketplace, store, context).await?;
    keys.note_duplicates(context);
    let watched = store.load_watchlist(context.workspace()).await?;
    let missing: Vec<String> = keys
        .keys
        .iter()
        .filter(|key| !watched.iter().any(|watched| watched.item.key == **key))
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(keys.keys);
    }
    Err(Failure::usage(format!("not watched: {}", missing.join(", ")))
        .hint("`amzctl watch list` shows what is")
        .into())
}

/// Tags as they are stored. Errors: usage for one with a comma or a space in it.
fn checked_tags(tags: &[String]) -> Result<Vec<String>, Failure> {
    let is_bad = |tag: &&String| words(tag).as_slice() != std::slice::from_ref(*tag);
    match tags.iter().find(is_bad) {
        Some(tag) => Err(Failure::usage(format!("`{tag}` is not a tag: one word, without commas"))),
        None => Ok(tags.to_vec()),
    }
}
