//! `alert backtest`: how often the rules would have fired, and how often they would have been right.

use anyhow::Context as _;

use super::rules::{configured_set, read_file, rule_book};
use crate::cli::OutputArgs;
use crate::cli::context::Context;
use crate::cli::dates::DayArg;
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::model::DayRange;
use crate::render::rows::{Cell, Rows, printable};
use crate::rollup::rules::{Rule, RuleBook, RuleSet, SHIPPED, Unit};
use crate::stages::alert::backtest::{self, Proposal, Summary};
use crate::stages::alert::{Options, Telling};
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// Days that are looked at where nothing else is said.
const DAYS: i32 = 90;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct BacktestArgs {
    /// The first day [default: 90 days before the last one]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    from: Option<DayArg>,

    /// The last day [default: yesterday]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    to: Option<DayArg>,

    /// Another shipped set than the configured one
    #[arg(long, value_name = "SET", value_parser = PossibleValuesParser::new(SHIPPED))]
    set: Option<String>,

    /// Another rules file than the configured one
    #[arg(long, value_name = "FILE")]
    rules_file: Option<PathBuf>,

    /// Only these rules
    #[arg(long, value_delimiter = ',', value_name = "RULE", value_parser = super::rules::rule_words(), hide_possible_values = true)]
    rule: Vec<String>,

    /// Propose steps that would have fired at most so often a week: 3/week
    #[arg(long, value_name = "COUNT/week", value_parser = parse_target)]
    target: Option<f64>,

    /// Print some findings of each rule too
    #[arg(long)]
    samples: bool,

    #[command(flatten)]
    output: OutputArgs,
}

fn parse_target(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/week").unwrap_or(text).trim();
    let per_week: f64 =
        number.parse().map_err(|_| format!("`{text}` is no number a week, such as 3/week"))?;
    match per_week.is_finite() && per_week >= 0.0 {
        true => Ok(per_week),
        false => Err(format!("`{text}` is no number a week, such as 3/week")),
    }
}

pub(super) async fn run(args: BacktestArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    let lake = Lake::new(&context.config.lake_root);
    let today = context.today();
    let last = args.to.map_or(today.plus(-1), |day| day.resolve(today));
    let first = args.from.map_or(last.plus(1 - DAYS), |day| day.resolve(today));
    if first > last {
        return Err(
            Failure::usage(format!("the first day, {first}, lies behind the last one, {last}")).into()
        );
    }
    let range = DayRange { first, last };
    let book = book(&args, context)?;
    let rules: Vec<Rule> = args.rule.iter().filter_map(|word| Rule::from_word(word)).collect();
    let options = Options { rules: book, ..super::options(context, "", Telling::Nothing)? };
    let cancel = context.cancel();
    if let Some(per_week) = args.target {
        let sized = |rule: &Rule| rule.unit() != Unit::Event && (rules.is_empty() || rules.contains(rule));
        let rules: Vec<Rule> =
            options.rules.base().rules.iter().map(|spec| spec.rule).filter(sized).collect();
        if rules.is_empty() {
            return Err(
                Failure::usage("these rules are about events: they have no threshold to propose").into()
            );
        }
        let proposals = backtest::propose(&store, &lake, &cancel, &options, range, &rules, per_week).await?;
        args.output.emit(&proposal_rows(&proposals), context)?;
        if let Some(reason) = cancel.outcome() {
            return Err(Failure::new(reason, "stopped before all thresholds were tried").into());
        }
        if proposals.iter().any(|proposal| !proposal.is_enough) {
            context
                .ui
                .note("some fire more often with ten times the threshold: `for` or a `min_abs` may help");
        }
        return Ok(Outcome::Done);
    }
    let mut summary = backtest::run(&store, &lake, &cancel, &options, range).await?;
    summary.lines.retain(|line| rules.is_empty() || rules.iter().any(|rule| rule.as_str() == line.rule));
    args.output.emit(&rows(&summary, args.samples), context)?;
    let (days, fired) = (summary.days, summary.lines.iter().map(|line| line.fired).sum::<u64>());
    context.ui.note(&format!(
        "{fired} findings on {days} days of marketplaces, {first} to {last}; nothing written"
    ));
    match cancel.outcome().filter(|_| summary.is_cancelled) {
        Some(reason) => Err(Failure::new(reason, "stopped between two months").into()),
        None => Ok(Outcome::Done),
    }
}

fn book(args: &BacktestArgs, context: &Context) -> anyhow::Result<RuleBook> {
    let base = match &args.set {
        Some(name) => {
            let stale_slots = context.config.settings.alerts.stale_slots;
            RuleSet::shipped(name, stale_slots).context("a set that is none")?
        }
        None => configured_set(context)?,
    };
    Ok(match (&args.rules_file, &args.set) {
        (Some(file), _) => read_file(file, base, context)?,
        // A set that is asked for by name is meant as it is shipped.
        (None, Some(_)) => base.into(),
        (None, None) => rule_book(context)?,
    })
}

fn rows(summary: &Summary, with_samples: bool) -> Rows {
    let mut columns = vec!["rule", "severity", "fired", "per_week", "confirmed", "reverted"];
    if with_samples {
        columns.push("sample");
    }
    let mut rows = Rows::new("amzctl.alert-backtest/1", &columns).wrapping();
    for line in &summary.lines {
        let cells = |sample: Option<Cell>| {
            let mut cells: Vec<Cell> = vec![
                line.rule.into(),
                line.severity.into(),
                line.fired.into(),
                tenths(line.per_week).into(),
                line.confirmed.into(),
                line.reverted.into(),
            ];
            cells.extend(sample);
            cells
        };
        if !with_samples {
            rows.push(cells(None));
        }
        for finding in line.samples.iter().filter(|_| with_samples) {
            let product = finding.product.map_or_else(String::new, |product| format!("{product}: "));
            rows.push(cells(Some(format!("{product}{}", printable(&finding.message)).into())));
        }
    }
    rows
}

fn proposal_rows(proposals: &[Proposal]) -> Rows {
    let mut rows = Rows::new("amzctl.alert-proposals/1", &["rule", "steps", "per_week", "is_enough"]);
    for proposal in proposals {
        rows.push(vec![
            proposal.rule.into(),
            proposal.steps.join(", ").into(),
            tenths(proposal.per_week).into(),
            proposal.is_enough.into(),
        ]);
    }
    rows
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
