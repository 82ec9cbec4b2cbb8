//! `compare`: one product or cohort against others, at a terminal.

use anyhow::Context as _;
use clap::ValueEnum;

use super::cohort::known_cohort;
use super::context::Context;
use super::dates::DayArg;
use super::output::write_text;
use super::products::{known_key, not_seen};
use crate::error::{Failure, Outcome};
use crate::model::{DayRange, Marketplace, ProductKey, ProductRef};
use crate::render::compare::{rows, terminal};
use crate::render::comparison_page;
use crate::render::rows::{self, Format};
use crate::rollup::compare::Comparison;
use crate::stages::compare::{self, Subject};
use crate::store::Store;

/// A value is that of the newest day among so many.
const VALUE_DAYS: i32 = 7;

/// Compare a product with others, or a cohort's main product with its rivals
///
/// Every gap is main - competitor. A pair with one side missing is kept with its reason. With one product and
/// nothing else, the cohort it is the main product of is compared.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CompareArgs {
    /// The main product, then its competitors: B0…, UK:B0… or URLs
    #[arg(value_name = "PRODUCT", required_unless_present = "cohort")]
    pub products: Vec<ProductRef>,

    /// Compare this cohort
    #[arg(long, value_name = "NAME", conflicts_with = "products")]
    pub cohort: Option<String>,

    /// Marketplace of plain ASINs
    #[arg(long, value_name = "CODE")]
    pub marketplace: Option<Marketplace>,

    /// Days of the series and of the best-rank share
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=366))]
    pub days: u16,

    /// The day to compare as of [default: the newest day of the marketplace]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub as_of: Option<DayArg>,

    /// End with exit code 20 when a competitor is cheaper than the main product
    #[arg(long)]
    pub exit_code: bool,

    #[command(flatten)]
    pub output: CompareOutput,
}

/// The formats of `compare`: those of every reading command, and a page.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CompareOutput {
    /// Print as a table, for programs, or as a self-contained page
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<CompareFormat>,

    /// Print JSON, the same as --format json
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    pub json: bool,

    /// Print only these columns, in this order; not in JSON, nor on a page
    #[arg(long, value_delimiter = ',', value_name = "A,B", help_heading = "Output")]
    pub fields: Option<Vec<String>>,

    /// Write to a file instead of stdout; it is replaced whole or not at all
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum CompareFormat {
    Table,
    Json,
    Ndjson,
    Csv,
    Tsv,
    Markdown,
    Html,
}

pub(super) async fn run(args: CompareArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let subject = subject(&args, &store, context).await?;
    let as_of = match args.as_of {
        Some(day) => day.resolve(context.today()),
        None => store.newest_day(Some(subject.main.marketplace)).await?.ok_or_else(|| {
            Failure::usage(format!("nothing was seen yet in {}", subject.main.marketplace))
                .hint("`amzctl ingest FILE`, then `amzctl normalize`")
        })?,
    };
    let comparison = compare::run(&store, &subject, as_of, args.days.into()).await?;
    if has_no_data(&comparison) {
        let keys: Vec<ProductKey> = std::iter::once(subject.main)
            .chain(subject.competitors.iter().map(|(competitor, ..)| *competitor))
            .collect();
        let failure = not_seen(&keys, DayRange::window(as_of, VALUE_DAYS), &store).await?;
        // The day that was asked for is wrong; products that were not seen lately are news of a comparison.
        if args.as_of.is_some() {
            return Err(failure.into());
        }
        context.ui.complain(&format!("{failure}: nothing is known of them now"));
    }
    print(&args.output, &comparison, context)?;
    let undercut = comparison.market.cheaper_competitors > 0;
    Ok(if args.exit_code && undercut { Outcome::Found } else { Outcome::Done })
}

/// True where no member has a value.
fn has_no_data(comparison: &Comparison) -> bool {
    comparison.main.day.is_none() && comparison.competitors.iter().all(|pair| pair.value.day.is_none())
}

async fn subject(args: &CompareArgs, store: &Store, context: &Context) -> anyhow::Result<Subject> {
    if let Some(name) = &args.cohort {
        return Ok(Subject::of_cohort(&known_cohort(name, store, context).await?));
    }
    let mut keys = Vec::with_capacity(args.products.len());
    for product in &args.products {
        keys.push(known_key(*product, args.marketplace, store, context).await?);
    }
    let main = keys.remove(0);
    if !keys.is_empty() {
        return ad_hoc(main, &keys, context);
    }
    let cohorts = store.load_cohorts(context.workspace()).await.context("failed to load cohorts")?;
    cohorts.iter().find(|cohort| cohort.main == main).map(Subject::of_cohort).ok_or_else(|| {
        Failure::usage(format!("{main} is not the main product of a cohort"))
            .hint("name competitors behind it, or make a cohort with `amzctl cohort set`")
            .into()
    })
}

fn ad_hoc(main: ProductKey, others: &[ProductKey], context: &Context) -> anyhow::Result<Subject> {
    let mut competitors: Vec<(ProductKey, String, i64)> = Vec::new();
    for (place, key) in others.iter().enumerate() {
        if *key == main {
            context.ui.note(&format!("{key} is the main product itself: left out"));
        } else if competitors.iter().any(|(known, ..)| known == key) {
            context.ui.note(&format!("{key} is named twice: left out once"));
        } else {
            competitors.push((*key, String::new(), place as i64));
        }
    }
    if competitors.is_empty() {
        return Err(Failure::usage("no competitor is left to compare with").into());
    }
    Ok(Subject { cohort: None, main, competitors })
}

fn print(output: &CompareOutput, comparison: &Comparison, context: &Context) -> anyhow::Result<()> {
    let format =
        if output.json { CompareFormat::Json } else { output.format.unwrap_or(CompareFormat::Table) };
    let is_flat = !matches!(format, CompareFormat::Json | CompareFormat::Html);
    if output.fields.is_some() && !is_flat {
        return Err(Failure::usage("--fields chooses columns: a page and a document have none")
            .hint("use it with --format ndjson, csv, tsv, markdown or table")
            .into());
    }
    let width = if output.output.is_some() { usize::MAX } else { context.ui.table_width };
    let flat = |format: Format| -> anyhow::Result<String> {
        rows::render(&rows(comparison), format, output.fields.as_deref(), width)
    };
    let text = match format {
        CompareFormat::Table if output.fields.is_some() => flat(Format::Table)?,
        CompareFormat::Table => {
            coloured(terminal(comparison, width)?, context.ui.color && output.output.is_none())
        }
        CompareFormat::Json => format!("{:#}\n", compare::document(comparison)?),
        CompareFormat::Ndjson => flat(Format::Ndjson)?,
        CompareFormat::Csv => flat(Format::Csv)?,
        CompareFormat::Tsv => flat(Format::Tsv)?,
        CompareFormat::Markdown => flat(Format::Markdown)?,
        CompareFormat::Html => comparison_page(comparison).context("failed to draw the comparison")?,
    };
    write_text(&text, output.output.as_deref(), context)
}

/// Marks the words that say who is better; the words alone carry the meaning.
fn coloured(text: String, color: bool) -> String {
    if !color {
        return text;
    }
    let good = anstyle::AnsiColor::Green.on_default();
    let bad = anstyle::AnsiColor::Yellow.on_default();
    let paint = |text: String, word: &str, style: anstyle::Style| {
        text.replace(&format!(" {word} "), &format!(" {style}{word}{style:#} "))
    };
    // The first line is the product's title, which may have such words.
    let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let rest = ["cheaper", "ahead"].iter().fold(rest.to_owned(), |text, word| paint(text, word, good));
    let rest = ["dearer", "behind"].iter().fold(rest, |text, word| paint(text, word, bad));
    format!("{title}\n{rest}")
}
