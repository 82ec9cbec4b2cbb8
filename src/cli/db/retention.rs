//! `db retention`: drops what is older than the configuration keeps.

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::output::{OutputArgs, counted};
use crate::cli::sizes::size;
use crate::error::{Failure, Outcome};
use crate::render::rows::{Cell, Rows};
use crate::stages::retention::{self, Ages, LayerPlan, Options, Summary};

const KEPT_FOR_EVER: &str =
    "everything is kept for ever: `[retention]` in amzctl.toml says how long a layer is";

/// Drop what is older than the configuration keeps; without --yes only say what that is
///
/// `[retention]` says how many days each layer is kept; nothing is dropped of one that it does not name. Daily rows, their
/// ranks and the observations they come from are kept for ever: the lake is rebuilt from them. A receipt that is dropped
/// leaves its identity behind, so that a file that is read again lands nothing the second time; `normalize --replay` leaves
/// what it gave as it is.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct RetentionArgs {
    /// Drop it
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: RetentionArgs, context: &Context) -> anyhow::Result<Outcome> {
    let settings = &context.config.settings;
    let kept = &settings.retention;
    let ages = Ages {
        raw: kept.raw_days,
        readings: kept.readings_days,
        alerts: kept.alerts_days,
        ledger: kept.ledger_days,
    };
    let mut options = Options {
        ages,
        publish_days: settings.mart.publish_days,
        today: context.today(),
        zone: context.config.zone,
        reason: String::new(),
    };
    retention::check(&options)?;
    let says_nothing = ages == Ages::default();
    let store = context.open_store().await?;
    if !args.yes {
        let plan = retention::plan(&store, &options).await?;
        args.output.emit(&rows(&plan), context)?;
        let total: i64 = plan.iter().map(|layer| layer.rows).sum();
        let next = match (says_nothing, total) {
            (true, _) => KEPT_FOR_EVER,
            (false, 0) => "nothing is old enough to be dropped",
            (false, _) => "dry run, nothing dropped; `amzctl db retention --yes` drops it for good",
        };
        context.ui.note(next);
        return Ok(Outcome::Done);
    }
    if says_nothing {
        context.ui.note(KEPT_FOR_EVER);
        return Ok(Outcome::Done);
    }
    let _lock = context.lock(&store, "pipeline").await?;
    let run = context.begin_run(&store, "db retention").await?;
    options.reason = format!("retention, run {}", run.run_id);
    let progress = context.ui.progress_rows(0);
    progress.set_message("dropping old rows");
    let told = |rows| progress.inc(rows);
    let summary = retention::run(&store, context.clock, &context.cancel(), &told, &options).await?;
    progress.finish();
    run.finish(Outcome::Done, &json!({ "retention": summary })).await?;
    for line in lines(&summary) {
        context.ui.note(&format!("retention: {line}"));
    }
    if summary.cancelled {
        let reason = context.cancel().outcome().unwrap_or(Outcome::Interrupted);
        return Err(Failure::new(reason, "stopped between two batches; run it again to go on").into());
    }
    Ok(Outcome::Done)
}

fn rows(plan: &[LayerPlan]) -> Rows {
    let columns = ["layer", "kept_days", "before", "rows", "bytes", "oldest_kept"];
    let mut rows = Rows::new("amzctl.db.retention/1", &columns);
    for layer in plan {
        rows.push(vec![
            layer.layer.into(),
            layer.kept_days.map_or(Cell::Null, Cell::from),
            layer.before.into(),
            layer.rows.into(),
            layer.bytes.into(),
            layer.oldest_kept.into(),
        ]);
    }
    rows
}

fn lines(summary: &Summary) -> Vec<String> {
    let dropped = summary.layers.iter().filter(|layer| layer.rows > 0).map(|layer| {
        let content = match layer.bytes {
            0 => String::new(),
            bytes => format!(", {} of content", size(bytes.unsigned_abs())),
        };
        format!("{} of {}{content} dropped", counted(layer.rows, "row"), layer.layer)
    });
    let months = summary.months.iter().map(|month| format!("the empty month {month} dropped"));
    let mut lines: Vec<String> = dropped.chain(months).collect();
    if lines.is_empty() {
        lines.push("nothing was old enough".to_owned());
    }
    lines
}
