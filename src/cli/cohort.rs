//! `cohort`: named sets of one main product and its competitors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::OutputArgs;
use super::context::Context;
use super::output::counted;
use super::products::{known_key, named_products, note_duplicates, read_list};
use super::roles::{Role, parse_roles};
use super::watch::told;
use crate::error::{Failure, Outcome};
use crate::model::{Cohort, Competitor, Marketplace, ProductKey, Timestamp};
use crate::render::rows::{Cell, Rows};
use crate::store::Store;

/// Longest name of a cohort.
const MAX_NAME: usize = 64;
/// A name less like the one that was typed (0 to 1, Jaro-Winkler) is not suggested.
const LIKE_ENOUGH: f64 = 0.8;

/// Say which products are compared: a main product and its competitors, under a name
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CohortArgs {
    #[command(subcommand)]
    command: CohortCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum CohortCommand {
    /// Make a cohort, or give an existing one exactly these competitors
    Set(SetArgs),
    /// Make one cohort per main product of a file with ASIN,main and ASIN,comp lines
    ///
    /// Each is named MARKETPLACE-ASIN and gets every competitor of the file. Nothing is written when a line is bad.
    Import(ImportArgs),
    /// List the cohorts
    List(ListArgs),
    /// Show one cohort's members
    Show(ShowArgs),
    /// Remove cohorts; their products and their history stay
    Rm(RmArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct SetArgs {
    /// Name: letters, digits, `-`, `_` and `.`
    name: String,

    /// Main product: ASIN, MARKETPLACE:ASIN or URL
    main: String,

    /// Competitors, the most important first; a file of such lines, or - for stdin. At most 50
    #[arg(required = true, value_name = "COMPETITOR")]
    competitors: Vec<String>,

    /// Marketplace of plain ASINs
    #[arg(long, value_name = "CODE")]
    marketplace: Option<Marketplace>,

    /// Name for tables and reports
    #[arg(long, default_value = "")]
    label: String,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
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
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// Name of the cohort
    name: String,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct RmArgs {
    /// Names of cohorts
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    /// Remove without asking
    #[arg(long)]
    yes: bool,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: CohortArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    match args.command {
        CohortCommand::Set(args) => set(args, &store, context).await?,
        CohortCommand::Import(args) => import(args, &store, context).await?,
        CohortCommand::List(args) => list(args, &store, context).await?,
        CohortCommand::Show(args) => show(args, &store, context).await?,
        CohortCommand::Rm(args) => remove(args, &store, context).await?,
    }
    Ok(Outcome::Done)
}

async fn set(args: SetArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    check_name(&args.name)?;
    let main = args.main.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    let main = known_key(main, args.marketplace, store, context).await?;
    let mut competitors = Vec::new();
    for named in named_products(&args.competitors)? {
        // A competitor is looked for where the main product is sold.
        let marketplace = args.marketplace.unwrap_or(main.marketplace);
        competitors.push(named.product.key_or(marketplace));
    }
    let cohort = build(args.name, main, args.label, &competitors, context.clock.now())?;
    cohort.note_dropped(context);
    save(&[cohort.cohort], args.dry_run, store, context).await
}

async fn import(args: ImportArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let text = read_list(&args.file)?;
    let rows = parse_roles(&args.file, &text, context.marketplace_or_default(args.marketplace))?;
    let cohorts = from_roles(&rows, &args.file, context.clock.now())?;
    cohorts.note_dropped(context);
    save(&cohorts.cohorts, args.dry_run, store, context).await
}

async fn save(cohorts: &[Cohort], dry_run: bool, store: &Store, context: &Context) -> anyhow::Result<()> {
    let effect = store.save_cohorts(context.workspace(), cohorts, dry_run).await?;
    let links: usize = cohorts.iter().map(|cohort| cohort.competitors.len()).sum();
    let would = if dry_run { "dry run, nothing written: " } else { "" };
    context.ui.note(&format!(
        "{would}{}, {}: {}",
        counted(cohorts.len(), "cohort"),
        counted(links, "link"),
        told(effect)
    ));
    if let (false, Some(cohort)) = (dry_run, cohorts.first()) {
        context.ui.note(&format!("next: `amzctl compare --cohort {}`", cohort.name));
    }
    Ok(())
}

/// One cohort, and what was left out of it.
struct Built {
    cohort: Cohort,
    self_links: usize,
    duplicates: usize,
}

impl Built {
    fn note_dropped(&self, context: &Context) {
        note_self_links(self.self_links, context);
        note_duplicates(self.duplicates, context);
    }
}

fn note_self_links(count: usize, context: &Context) {
    match count {
        0 => {}
        1 => context.ui.note("ignored 1 link of a product to itself"),
        many => context.ui.note(&format!("ignored {many} links of products to themselves")),
    }
}

/// Competitors keep their order as priority. Errors: usage without a competitor and for more than the limit.
fn build(
    name: String,
    main: ProductKey,
    label: String,
    competitors: &[ProductKey],
    created_at: Timestamp,
) -> Result<Built, Failure> {
    let mut seen = BTreeSet::new();
    let others: Vec<ProductKey> = competitors.iter().copied().filter(|key| *key != main).collect();
    let kept: Vec<ProductKey> = others.iter().copied().filter(|key| seen.insert(*key)).collect();
    if kept.is_empty() {
        return Err(Failure::usage(format!("cohort {name} has no competitor"))
            .hint("name a product besides the main one"));
    }
    if kept.len() > Cohort::MAX_COMPETITORS {
        let limit = Cohort::MAX_COMPETITORS;
        return Err(Failure::usage(format!(
            "cohort {name} has {} competitors, more than {limit}",
            kept.len()
        )));
    }
    let competitor = |(priority, &key): (usize, &ProductKey)| Competitor {
        key,
        priority: priority as i64,
        label: String::new(),
    };
    Ok(Built {
        self_links: competitors.len() - others.len(),
        duplicates: others.len() - kept.len(),
        cohort: Cohort {
            name,
            main,
            label,
            competitors: kept.iter().enumerate().map(competitor).collect(),
            created_at,
        },
    })
}

/// The cohorts of a roles file, and what was left out of them.
struct FromRoles {
    cohorts: Vec<Cohort>,
    self_links: usize,
    duplicates: usize,
}

impl FromRoles {
    fn note_dropped(&self, context: &Context) {
        note_self_links(self.self_links, context);
        note_duplicates(self.duplicates, context);
    }
}

/// One cohort per main product, each with every competitor of the file.
fn from_roles(rows: &[(ProductKey, Role)], path: &Path, now: Timestamp) -> Result<FromRoles, Failure> {
    let mut duplicates = 0;
    let mut distinct = |wanted: Role| {
        let mut seen = BTreeSet::new();
        let (kept, repeated): (Vec<_>, Vec<_>) =
            rows.iter().filter(|(_, role)| *role == wanted).partition(|(key, _)| seen.insert(*key));
        duplicates += repeated.len();
        kept.into_iter().map(|(key, _)| key).collect::<Vec<ProductKey>>()
    };
    let (mains, competitors) = (distinct(Role::Main), distinct(Role::Competitor));
    if mains.is_empty() {
        return Err(Failure::usage(format!("{} names no main product", path.display()))
            .hint("a main product is a line ASIN,main"));
    }
    let mut cohorts = Vec::with_capacity(mains.len());
    let mut self_links = 0;
    for main in mains {
        let built = build(Cohort::name_for(main), main, String::new(), &competitors, now)?;
        self_links += built.self_links;
        cohorts.push(built.cohort);
    }
    Ok(FromRoles { cohorts, self_links, duplicates })
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_good = name.chars().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if is_good && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` is not a cohort name"))
        .hint("letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64"))
}

async fn list(args: ListArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let mut rows = Rows::new(
        "amzctl.cohort/1",
        &["name", "marketplace", "main_asin", "competitors", "label", "created_at"],
    );
    for cohort in store.load_cohorts(context.workspace()).await? {
        rows.push(vec![
            cohort.name.into(),
            cohort.main.marketplace.into(),
            cohort.main.asin.into(),
            cohort.competitors.len().into(),
            cohort.label.into(),
            cohort.created_at.into(),
        ]);
    }
    if rows.is_empty() {
        context.ui.note("there are no cohorts: `amzctl cohort set NAME MAIN COMPETITOR…`");
    }
    args.output.emit(&rows, context)
}

async fn show(args: ShowArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let cohort = known_cohort(&args.name, store, context).await?;
    let mut rows =
        Rows::new("amzctl.cohort.show/1", &["role", "marketplace", "asin", "priority", "label", "title"]);
    let main = Competitor { key: cohort.main, priority: 0, label: cohort.label };
    let members =
        std::iter::once(("main", &main)).chain(cohort.competitors.iter().map(|one| ("competitor", one)));
    for (role, member) in members {
        let product = store.load_product(member.key).await?;
        rows.push(vec![
            role.into(),
            member.key.marketplace.into(),
            member.key.asin.into(),
            if role == "main" { Cell::Null } else { member.priority.into() },
            member.label.as_str().into(),
            product.and_then(|product| product.title).into(),
        ]);
    }
    args.output.emit(&rows, context)
}

async fn remove(args: RmArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    for name in &args.names {
        known_cohort(name, store, context).await?;
    }
    let question = format!("remove {}?", counted(args.names.len(), "cohort"));
    if !args.dry_run && !args.yes && !context.ui.confirm(&question)? {
        return Err(Failure::usage("nothing was removed").hint("confirm with --yes").into());
    }
    let removed = store.remove_cohorts(context.workspace(), &args.names, args.dry_run).await?;
    let would = if args.dry_run { "dry run, nothing written: " } else { "" };
    context.ui.note(&format!("{would}{removed} removed"));
    if !args.dry_run {
        let is_left = !store.load_cohorts(context.workspace()).await?.is_empty();
        context.ui.note(if is_left {
            "next: `amzctl cohort list`"
        } else {
            "next: `amzctl cohort set NAME MAIN COMPETITOR…` makes another"
        });
    }
    Ok(())
}

/// The cohort of this name. Errors: usage when there is none, with the name that was likely meant.
pub(super) async fn known_cohort(name: &str, store: &Store, context: &Context) -> anyhow::Result<Cohort> {
    if let Some(cohort) =
        store.load_cohort(context.workspace(), name).await.context("failed to load the cohort")?
    {
        return Ok(cohort);
    }
    let cohorts = store.load_cohorts(context.workspace()).await.context("failed to load cohorts")?;
    let nearest = cohorts
        .iter()
        .map(|cohort| (strsim::jaro_winkler(name, &cohort.name), cohort))
        .filter(|(likeness, _)| *likeness > LIKE_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match nearest {
        Some((_, cohort)) => format!("did you mean `{}`? `amzctl cohort list` shows all", cohort.name),
        None if cohorts.is_empty() => "make one with `amzctl cohort set`".to_owned(),
        None => "`amzctl cohort list` shows the cohorts".to_owned(),
    };
    Err(Failure::usage(format!("there is no cohort `{name}`")).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(text: &str) -> Result<FromRoles, Failure> {
        let path = Path::new("roles.csv");
        let rows = parse_roles(path, text, Some(Marketplace::Us)).unwrap();
        from_roles(&rows, path, "2026-03-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn twenty_mains_and_five_competitors_are_twenty_cohorts_and_a_hundred_links() {
        let mains = (0..20).map(|number| format!("B0MAIN00{number:02},main\r\n"));
        let competitors = (0..5).map(|number| format!("B0COMP00{number:02},comp\r\n"));
        let text: String = mains.chain(competitors).collect();
        let made = roles(text.trim_end()).unwrap();
        assert_eq!(made.cohorts.len(), 20);
        assert_eq!(made.cohorts.iter().map(|cohort| cohort.competitors.len()).sum::<usize>(), 100);
        assert_eq!(made.cohorts[7].name, "US-B0MAIN0007");
        assert_eq!((made.self_links, made.duplicates), (0, 0));
    }

    #[test]
    fn a_product_is_never_its_own_competitor_and_a_repeat_counts_once() {
        let made = roles("B000000001,main\nB000000001,comp\nB000000002,comp\nB000000002,comp").unwrap();
        let competitors: Vec<String> =
            made.cohorts[0].competitors.iter().map(|one| one.key.to_string()).collect();
        assert_eq!(competitors, ["US:B000000002"]);
        assert_eq!((made.self_links, made.duplicates), (1, 1));
    }

    #[test]
    fn a_cohort_needs_a_main_product_and_one_to_fifty_competitors() {
        assert!(roles("B000000001,comp").is_err());
        assert!(roles("B000000001,main\nB000000001,comp").is_err());
        let fifty_one: String = (0..51).map(|number| format!("B0COMP00{number:02},comp\n")).collect();
        let message = roles(&format!("B000000001,main\n{fifty_one}")).err().unwrap().message;
        assert_eq!(message, "cohort US-B000000001 has 51 competitors, more than 50");
    }

    #[test]
    fn names_are_safe_in_paths_and_shells() {
        for name in ["earbuds", "US-B000000001", "a_b.c"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".hidden", "a b", "a/b", "../x", "ä", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
