//! `alert rules`: what is judged by, and whether it says what it means.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use toml_edit::{DocumentMut, Item, Table, value};

use super::view;
use crate::cli::OutputArgs;
use crate::cli::context::Context;
use crate::cli::output::counted;
use crate::error::{Failure, Outcome};
use crate::files::write_atomic;
use crate::render::rows::Rows;
use crate::rollup::rules::{Known, Problem, Rule, RuleBook, RuleSet, RulesFile, lint};

#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RulesArgs {
    #[command(subcommand)]
    command: Option<RulesCommand>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum RulesCommand {
    /// List the rules with their thresholds
    List(ListArgs),
    /// Show one rule: its thresholds, how sure it has to be, and for which products it differs
    Show(ShowArgs),
    /// Check a rules file: what does not hold, and what can never or will always find something
    Validate(ValidateArgs),
    /// Switch a rule on, in the rules file
    Enable(SwitchArgs),
    /// Switch a rule off, in the rules file
    Disable(SwitchArgs),
    /// Print the JSON Schema of a rules file
    Schema,
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    #[arg(value_name = "RULE", value_parser = rule_words())]
    rule: String,
}

#[derive(Clone, Debug, clap::Args)]
struct ValidateArgs {
    /// The file to check [default: the one of the configuration]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// End with exit code 2 for warnings too
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct SwitchArgs {
    #[arg(value_name = "RULE", value_parser = rule_words())]
    rule: String,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn rule_words() -> PossibleValuesParser {
    PossibleValuesParser::new(Rule::ALL.iter().map(|rule| rule.as_str()))
}

pub(super) async fn run(args: RulesArgs, context: &Context) -> anyhow::Result<Outcome> {
    match args.command {
        None => list(&args.output, context),
        Some(RulesCommand::List(args)) => list(&args.output, context),
        Some(RulesCommand::Show(args)) => show(&args, context),
        Some(RulesCommand::Validate(args)) => validate(&args, context).await,
        Some(RulesCommand::Enable(args)) => switch(&args, true, context),
        Some(RulesCommand::Disable(args)) => switch(&args, false, context),
        Some(RulesCommand::Schema) => {
            context.ui.data(&format!("{:#}\n", serde_json::to_value(schemars::schema_for!(RulesFile))?));
            Ok(Outcome::Done)
        }
    }
}

/// What the workspace is judged by: the configured set, and what the rules file makes of it.
pub(super) fn rule_book(context: &Context) -> Result<RuleBook, Failure> {
    let base = configured_set(context)?;
    match rules_file(context)? {
        Some(file) => read_file(&file, base, context),
        None => Ok(base.into()),
    }
}

/// What a rules file makes of a set.
pub(super) fn read_file(file: &Path, base: RuleSet, context: &Context) -> Result<RuleBook, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read the rules file {}: {error}", file.display())))?;
    RuleBook::read(&text, base, context.workspace()).map_err(|problems| refusal(file, &problems))
}

pub(super) fn configured_set(context: &Context) -> Result<RuleSet, Failure> {
    let alerts = &context.config.settings.alerts;
    RuleSet::shipped(&alerts.rules, alerts.stale_slots)
        .ok_or_else(|| Failure::usage(format!("there is no rule set `{}`", alerts.rules)))
}

/// The rules file where there is one. Errors: one was named that is not there.
fn rules_file(context: &Context) -> Result<Option<PathBuf>, Failure> {
    let Some(file) = &context.config.rules_file else { return Ok(None) };
    if file.exists() {
        return Ok(Some(file.clone()));
    }
    match context.config.is_rules_file_named {
        false => Ok(None),
        true => Err(Failure::usage(format!("there is no rules file {}", file.display()))
            .hint("[alerts] rules_file names it; without one the shipped set is used as it is")),
    }
}

fn refusal(file: &Path, problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match problem.place.as_str() {
            "" => problem.message.clone(),
            place => format!("{place}: {}", problem.message),
        })
        .collect();
    Failure::usage(format!("{}: {}", file.display(), lines.join("\n  ")))
        .hint("`amzctl alert rules schema` says what may stand there; nothing is judged until it holds")
}

fn list(output: &OutputArgs, context: &Context) -> anyhow::Result<Outcome> {
    let book = rule_book(context)?;
    let is_short = super::is_for_people(output);
    let rows = if is_short { view::short_rule_rows(book.base()) } else { view::rule_rows(book.base()) };
    output.emit(&rows, context)?;
    let specials = book.specials().count();
    if is_short && specials > 0 {
        context.ui.note(&format!(
            "{} for some products: `amzctl alert rules show RULE`",
            counted(specials as u64, "difference")
        ));
    }
    Ok(Outcome::Done)
}

fn show(args: &ShowArgs, context: &Context) -> anyhow::Result<Outcome> {
    let book = rule_book(context)?;
    let rule = Rule::from_word(&args.rule).context("a rule that is none")?;
    let mut rows = Rows::new("amzctl.alert-rule/1", &["for", "severity", "condition"]).wrapping();
    let set = book.base();
    let base = set
        .rules
        .iter()
        .filter(|spec| spec.rule == rule)
        .map(|spec| ("every product".to_owned(), spec.clone()));
    let specials = book.specials().filter(|(special, ..)| *special == rule);
    let specials = specials.map(|(_, selection, spec)| (selection.to_string(), spec));
    for (whom, spec) in base.chain(specials) {
        if !spec.is_enabled {
            rows.push(vec![whom.as_str().into(), "".into(), "switched off".into()]);
            continue;
        }
        for step in &spec.steps {
            let condition = set.condition(&spec, step);
            rows.push(vec![whom.as_str().into(), step.severity.as_str().into(), condition.into()]);
        }
    }
    OutputArgs::default().emit(&rows, context)?;
    Ok(Outcome::Done)
}

async fn validate(args: &ValidateArgs, context: &Context) -> anyhow::Result<Outcome> {
    let book = match &args.file {
        None => rule_book(context)?,
        Some(file) => read_file(file, configured_set(context)?, context)?,
    };
    // A file may be checked where there is no database, as in CI; names are looked up where there is one.
    let known = match context.config.is_found {
        true => Some(known(context).await?),
        false => None,
    };
    let warnings = lint(&book, known.as_ref());
    for warning in &warnings {
        let place = if warning.place.is_empty() { String::new() } else { format!(" ({})", warning.place) };
        context.ui.complain(&format!("{}{place}: {}", warning.rule, warning.message));
    }
    let specials = counted(book.specials().count() as u64, "override");
    context.ui.note(&format!("the rules hold: set `{}`, {specials}", book.base().name));
    match args.strict && !warnings.is_empty() {
        true => {
            let warnings = counted(warnings.len() as u64, "warning");
            Err(Failure::usage(format!("{warnings}, with --strict")).into())
        }
        false => Ok(Outcome::Done),
    }
}

async fn known(context: &Context) -> anyhow::Result<Known> {
    let store = context.open_store().await?;
    let subjects =
        store.load_subjects(context.workspace()).await.context("failed to load what rules select by")?;
    let mut known =
        Known { has_own_sellers: !context.config.settings.own.seller_ids.is_empty(), ..Known::default() };
    for (product, subject) in subjects {
        known.products.insert(product);
        known.tags.extend(subject.tags);
        known.cohorts.extend(subject.cohorts);
        known.brands.extend(subject.brand.map(|brand| brand.to_lowercase()));
    }
    Ok(known)
}

/// Writes `enabled` into the rules file, which keeps its comments and its order.
fn switch(args: &SwitchArgs, is_on: bool, context: &Context) -> anyhow::Result<Outcome> {
    let file = context.config.rules_file.clone().ok_or_else(|| {
        Failure::usage("there is no rules file to write to")
            .hint("name one: [alerts] rules_file = \"rules.toml\"")
    })?;
    rule_book(context)?;
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let mut document: DocumentMut =
        text.parse().with_context(|| format!("cannot read {}", file.display()))?;
    let rules = document.entry("rules").or_insert_with(implicit_table);
    let rules = rules.as_table_like_mut().context("`rules` is no table")?;
    let rule = rules.entry(&args.rule).or_insert_with(|| Item::Table(Table::new()));
    let rule = rule.as_table_like_mut().with_context(|| format!("`rules.{}` is no table", args.rule))?;
    rule.insert("enabled", value(is_on));
    let state = if is_on { "on" } else { "off" };
    if args.dry_run {
        context.ui.note(&format!("dry run, nothing written: {} would be switched {state}", args.rule));
        return Ok(Outcome::Done);
    }
    write_atomic(&file, document.to_string().as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))?;
    context.ui.note(&format!("{} is switched {state} in {}", args.rule, file.display()));
    Ok(Outcome::Done)
}

/// A table that is written only by the tables in it.
fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}
