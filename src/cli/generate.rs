//! `gen`: a synthetic market, written as the files providers would have delivered. Needs no configuration and no
//! database; a second run with the same options writes the same bytes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use super::output::counted;
use super::sizes::size;
use crate::error::{Failure, Outcome};
use crate::generate::{self, ListFile, Options, ShapeChoice, Summary};
use crate::model::{Day, Marketplace};

/// The folder of watchlist and roles, below the output folder.
const LISTS_FOLDER: &str = "lists";
/// More products or days than this are a slip of the finger.
const MAX_PRODUCTS: u64 = 10_000_000;
const MAX_DAYS: i64 = 36_525;
/// A record may not be larger than what ingest takes.
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

/// Write a synthetic market: made-up products in the file formats of real providers
///
/// One folder per day, as DIR/2025-01-01/apify-axesso-US.json. The same seed and options give the same bytes on
/// every machine. Prices drift and jump, stock runs out, ranks follow, products appear, vanish and have gaps.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct GenArgs {
    /// Output folder; must be empty or absent unless --force is given
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,

    /// Products over all marketplaces together
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MAX_PRODUCTS))]
    products: u64,

    /// Days
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=MAX_DAYS))]
    days: i64,

    /// First day
    #[arg(long, default_value = "2025-01-01", value_name = "DAY")]
    start: Day,

    /// Seed; another seed is another market
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Marketplaces, comma-separated
    #[arg(long, default_value = "US", value_delimiter = ',', value_name = "CODES")]
    marketplaces: Vec<Marketplace>,

    /// Shape of the files
    #[arg(long, value_enum, default_value_t = ShapeChoice::Axesso)]
    shape: ShapeChoice,

    /// Also write DIR/corrections: second looks at old days, to be read with --captured-at DAYT18:00:00Z
    #[arg(long)]
    corrections: bool,

    /// Hold some products of some days back, in DIR/late
    #[arg(long)]
    late: bool,

    /// Days on which one source returns garbage
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    garbage_days: u32,

    /// Pad apify items with description and reviews to about this size; real ones have about 20000
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=MAX_PAYLOAD_BYTES))]
    payload_bytes: u64,

    /// Compress the files
    #[arg(long)]
    gzip: bool,

    /// Also write DIR/lists: a watchlist, and a roles file with cohorts for each marketplace
    #[arg(long)]
    cohorts: bool,

    /// Write into a folder that is not empty, over files of the same names
    #[arg(long)]
    force: bool,

    /// Generate everything and say what would be written, write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: GenArgs, context: &Context) -> anyhow::Result<Outcome> {
    let options = args.options()?;
    check_folder(&args.out, args.force)?;
    let progress = context.ui.progress_rows(options.products * options.days as u64);
    let cancel = context.cancel();
    let files = generate::files(&options).take_while(|_| !cancel.is_cancelled());
    let told = |so_far: &Summary| progress.set_position(so_far.records);
    let summary =
        if args.dry_run { generate::measure(files, told)? } else { generate::write(files, &args.out, told)? };
    progress.finish();
    let lists = if args.cohorts { generate::lists(&options) } else { Vec::new() };
    if args.dry_run {
        for line in counts("would write", &args.out, &options, &summary) {
            context.ui.note(&line);
        }
        if !lists.is_empty() {
            let folder = args.out.join(LISTS_FOLDER);
            context.ui.note(&format!("and {} to {}", counted(lists.len(), "list"), folder.display()));
        }
        context.ui.note("dry run, nothing written");
        return Ok(Outcome::Done);
    }
    for list in &lists {
        generate::write_file(&args.out.join(LISTS_FOLDER).join(&list.name), list.contents.as_bytes())?;
    }
    for line in said(&args.out, &options, &summary, &lists) {
        context.ui.note(&line);
    }
    Ok(Outcome::Done)
}

impl GenArgs {
    fn options(&self) -> anyhow::Result<Options> {
        let mut marketplaces = self.marketplaces.clone();
        marketplaces.sort();
        marketplaces.dedup();
        if marketplaces.len() != self.marketplaces.len() {
            return Err(Failure::usage("--marketplaces names a marketplace twice").into());
        }
        Ok(Options {
            seed: self.seed,
            products: self.products,
            days: i32::try_from(self.days).context("too many days")?,
            start: self.start,
            // In the order given: it decides which marketplace gets which shape of a mixed market.
            marketplaces: self.marketplaces.clone(),
            shape: self.shape,
            corrections: self.corrections,
            late: self.late,
            garbage_days: self.garbage_days,
            payload_bytes: usize::try_from(self.payload_bytes).context("too many bytes")?,
            gzip: self.gzip,
        })
    }
}

/// True when the folder exists and something is in it.
pub(super) fn is_occupied(folder: &Path) -> anyhow::Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to look into {}", folder.display())),
    }
}

/// Old files among new ones would be a market that no seed describes.
fn check_folder(folder: &Path, force: bool) -> anyhow::Result<()> {
    if !force && is_occupied(folder)? {
        return Err(Failure::usage(format!("{} is not empty", folder.display()))
            .hint("choose another folder, or write over it with --force")
            .into());
    }
    Ok(())
}

/// What was written, or would be.
fn counts(verb: &str, folder: &Path, options: &Options, summary: &Summary) -> Vec<String> {
    let shown = folder.display();
    let (first, last) = (options.start, options.start.plus(options.days - 1));
    let mut lines = vec![format!(
        "{verb} {} in {} ({}) to {shown}, {first} to {last}, seed {}",
        counted(summary.records, "record"),
        counted(summary.files, "file"),
        size(summary.bytes),
        options.seed
    )];
    if summary.corrections + summary.late > 0 {
        let corrections = counted(summary.corrections, "correction");
        lines.push(format!("of them {corrections}, {}", counted(summary.late, "late file")));
    }
    lines
}

/// What was written, and what to do with it.
fn said(folder: &Path, options: &Options, summary: &Summary, lists: &[ListFile]) -> Vec<String> {
    let shown = folder.display();
    let mut lines = counts("wrote", folder, options, summary);
    lines.push("next:".to_owned());
    for ListFile { name, marketplace, .. } in lists {
        let path = folder.join(LISTS_FOLDER).join(name);
        lines.push(match marketplace {
            Some(marketplace) => {
                format!("  amzctl cohort import {} --marketplace {marketplace}", path.display())
            }
            None => format!("  amzctl watch import {}", path.display()),
        });
    }
    lines.push(format!("  amzctl ingest '{shown}/20*'"));
    if summary.late > 0 {
        lines.push(format!("  amzctl ingest {shown}/late"));
    }
    if summary.corrections > 0 {
        lines.push(format!(
            "  for day in {shown}/corrections/*; do amzctl ingest \"$day\" --captured-at \"$(basename \"$day\")T18:00:00Z\"; done"
        ));
    }
    lines.push("  amzctl run".to_owned());
    lines
}
