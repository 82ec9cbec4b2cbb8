//! `quarantine`: look at refused records, have them read again, or let them go.

use super::OutputArgs;
use super::context::Context;
use super::output::counted;
use crate::error::{Failure, Outcome};
use crate::ids::short_id;
use crate::normalize::RejectReason;
use crate::render::format::plain_line;
use crate::render::rows::Rows;
use crate::stages;
use crate::store::Store;
use crate::store::quarantine::{QuarantineFilter, QuarantineRow};

/// So many characters of a payload are shown.
const EXCERPT_CHARS: usize = 2_000;
/// More rows than any table of a person needs, and fewer than would hurt.
const ALL_ROWS: u32 = 1_000_000;

/// Look at records that were refused, read them again, or let them go
#[derive(Clone, Debug, clap::Args)]
pub(super) struct QuarantineArgs {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum QuarantineCommand {
    /// List refused records, newest first
    List(ListArgs),
    /// Show one refused record with the beginning of its payload
    Show(ShowArgs),
    /// Have `normalize` read the records again
    Retry(SelectArgs),
    /// Let the records go: they are kept, but no longer open
    Drop(DropArgs),
}

#[derive(Clone, Debug, Default, clap::Args)]
struct FilterArgs {
    /// Only this stage: ingest or normalize
    #[arg(long)]
    stage: Option<String>,

    /// Only this reason
    #[arg(long)]
    reason: Option<String>,

    /// Only this source
    #[arg(long)]
    source: Option<String>,

    /// Only this ASIN
    #[arg(long)]
    asin: Option<String>,
}

impl FilterArgs {
    fn filter(&self, state: Option<&str>) -> QuarantineFilter {
        QuarantineFilter {
            state: state.map(str::to_owned),
            stage: self.stage.clone(),
            reason: self.reason.clone(),
            source: self.source.clone(),
            asin: self.asin.as_ref().map(|asin| asin.to_ascii_uppercase()),
            id_prefix: None,
        }
    }

    fn is_given(&self) -> bool {
        self.stage.is_some() || self.reason.is_some() || self.source.is_some() || self.asin.is_some()
    }
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,

    /// Which records: open, dropped, resolved or all
    #[arg(long, default_value = "open", value_parser = ["open", "dropped", "resolved", "all"], hide_possible_values = true)]
    state: String,

    /// At most this many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: u32,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// Id, or as much of its beginning as makes it unique
    id: String,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct SelectArgs {
    /// Ids, or as much of their beginnings as makes them unique
    #[arg(value_name = "ID", required_unless_present_any = ["all", "stage", "reason", "source", "asin"])]
    ids: Vec<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Every open record
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct DropArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Drop more than named ids without asking
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: QuarantineArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    match args.command {
        QuarantineCommand::List(args) => list(args, &store, context).await?,
        QuarantineCommand::Show(args) => show(args, &store, context).await?,
        QuarantineCommand::Retry(args) => retry(args, &store, context).await?,
        QuarantineCommand::Drop(args) => drop_records(args, &store, context).await?,
    }
    Ok(Outcome::Done)
}

async fn list(args: ListArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let state = (args.state != "all").then_some(args.state.as_str());
    let filter = args.filter.filter(state);
    let found = store.load_quarantine(&filter, args.limit).await?;
    let mut rows = Rows::new(
        "amzctl.quarantine/1",
        &[
            "quarantine_id",
            "stage",
            "reason",
            "field",
            "detail",
            "source",
            "marketplace",
            "asin",
            "state",
            "file_path",
            "file_line",
            "file_offset",
            "receipt_id",
            "item",
            "recorded_at",
        ],
    )
    .wrapping();
    for row in &found {
        rows.push(vec![
            row.quarantine_id.as_str().into(),
            row.stage.as_str().into(),
            row.reason.as_str().into(),
            row.field.as_str().into(),
            row.detail.as_str().into(),
            row.source.as_str().into(),
            row.marketplace.as_str().into(),
            row.asin.as_str().into(),
            row.state.as_str().into(),
            row.file_path.as_ref().into(),
            row.file_line.into(),
            row.file_offset.into(),
            row.receipt_id.into(),
            row.item.into(),
            row.recorded_at.into(),
        ]);
    }
    let total = store.count_quarantine(&filter).await?;
    if rows.is_empty() {
        let is_filtered = args.filter.is_given() || args.state != "open";
        context.ui.note(if is_filtered { "no record matches" } else { "no record is in quarantine" });
    } else if total > found.len() as u64 {
        context.ui.note(&format!("{} of {total}; --limit shows more", found.len()));
    }
    let table = ["quarantine_id", "stage", "reason", "field", "asin", "detail"];
    args.output.emit_columns(&rows, &table, context)
}

async fn show(args: ShowArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let row = named(&args.id, store).await?;
    let advice = (row.state == "open").then(|| advice(&row));
    let payload = match &row.body_sha256 {
        Some(sha256) => store.load_body(sha256).await?.map(|body| excerpt(&body)),
        None => None,
    };
    let fields: [(&'static str, crate::render::rows::Cell); 18] = [
        ("quarantine_id", row.quarantine_id.into()),
        ("state", row.state.into()),
        ("stage", row.stage.into()),
        ("reason", row.reason.into()),
        ("field", row.field.into()),
        ("detail", row.detail.into()),
        ("source", row.source.into()),
        ("marketplace", row.marketplace.into()),
        ("asin", row.asin.into()),
        ("receipt_id", row.receipt_id.into()),
        ("item", row.item.into()),
        ("body_sha256", row.body_sha256.into()),
        ("file_path", row.file_path.into()),
        ("file_line", row.file_line.into()),
        ("file_offset", row.file_offset.into()),
        ("run_id", row.run_id.into()),
        ("recorded_at", row.recorded_at.into()),
        ("payload", payload.into()),
    ];
    args.output.emit_record("amzctl.quarantine.show/1", &fields, context)?;
    if let Some(advice) = advice {
        context.ui.note(&advice);
    }
    Ok(())
}

/// What mends a refused record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Reading it again, after what refused it has changed.
    Retry,
    /// Another file: this one could not be read there.
    File,
    /// Somebody who says where it was sold: it does not, and a receipt keeps what was said when it landed.
    Marketplace,
}

impl Remedy {
    fn of(row: &QuarantineRow) -> Remedy {
        let names_no_marketplace =
            row.reason == RejectReason::MarketplaceUnknown.as_str() && row.marketplace.is_empty();
        match row.receipt_id {
            None => Remedy::File,
            Some(_) if names_no_marketplace => Remedy::Marketplace,
            Some(_) => Remedy::Retry,
        }
    }
}

fn advice(row: &QuarantineRow) -> String {
    let id = short_id(&row.quarantine_id);
    let file = row.file_path.as_deref().map_or("FILE".to_owned(), plain_line);
    match Remedy::of(row) {
        Remedy::Retry => {
            format!(
                "next: `amzctl quarantine retry {id}` to have it read again, `amzctl quarantine drop {id}` to let it go"
            )
        }
        Remedy::File => format!(
            "next: mend the file and `amzctl ingest {file}`, then `amzctl quarantine drop {id}`; a retry has nothing to read"
        ),
        Remedy::Marketplace => format!(
            "next: `amzctl ingest --marketplace CODE {file}`, then `amzctl quarantine drop {id}`; a retry cannot name the marketplace"
        ),
    }
}

/// The beginning of a payload as text.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut start: String = text.chars().take(EXCERPT_CHARS).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

async fn retry(args: SelectArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let _lock = context.lock(store, "pipeline").await?;
    let rows = selected(&args, store).await?;
    let mut receipts: Vec<i64> =
        rows.iter().filter(|row| Remedy::of(row) == Remedy::Retry).filter_map(|row| row.receipt_id).collect();
    receipts.sort_unstable();
    receipts.dedup();
    for (remedy, what) in [
        (Remedy::File, "refused while the file was read: mend the file and ingest it again"),
        (
            Remedy::Marketplace,
            "without a known marketplace, which a retry cannot name: ingest the file again with --marketplace CODE",
        ),
    ] {
        let count = rows.iter().filter(|row| Remedy::of(row) == remedy).count();
        if count > 0 {
            context.ui.note(&format!("left out: {} {what}", counted(count, "record")));
        }
    }
    if args.dry_run {
        let receipts = counted(receipts.len(), "receipt");
        context.ui.note(&format!("dry run, nothing written: {receipts} would be read again"));
        return Ok(());
    }
    let queued = stages::normalize::retry(store, &receipts).await?;
    if queued == 0 {
        context.ui.note("nothing to read again");
        return Ok(());
    }
    context.ui.note(&format!("{} will be read again", counted(queued, "receipt")));
    context.ui.note("next: `amzctl normalize`");
    Ok(())
}

async fn drop_records(args: DropArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let _lock = context.lock(store, "pipeline").await?;
    let rows = selected(&args.select, store).await?;
    if args.select.dry_run {
        context.ui.note(&format!("dry run, nothing written: {} would be dropped", rows.len()));
        return Ok(());
    }
    let by_filter = args.select.ids.is_empty();
    if by_filter && !args.yes && !context.ui.confirm(&format!("drop {}?", counted(rows.len(), "record")))? {
        return Err(Failure::usage("nothing was dropped").hint("confirm with --yes").into());
    }
    let ids: Vec<String> = rows.into_iter().map(|row| row.quarantine_id).collect();
    let dropped = store.drop_quarantined(&ids).await?;
    context.ui.note(&format!("{dropped} dropped"));
    if dropped > 0 {
        context.ui.note("next: `amzctl quarantine list`");
    }
    Ok(())
}

/// The open records that were named, or that match.
async fn selected(args: &SelectArgs, store: &Store) -> anyhow::Result<Vec<QuarantineRow>> {
    if args.ids.is_empty() {
        debug_assert!(args.all || args.filter.is_given(), "clap asks for one of them");
        return Ok(store.load_quarantine(&args.filter.filter(Some("open")), ALL_ROWS).await?);
    }
    let mut rows = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        rows.push(named(id, store).await?);
    }
    Ok(rows)
}

/// The one record whose id begins like this. Errors: usage when there is none or more than one.
async fn named(id: &str, store: &Store) -> anyhow::Result<QuarantineRow> {
    // A table may have cut the id.
    let prefix = id.trim_end_matches('…').to_owned();
    let filter = QuarantineFilter { id_prefix: Some(prefix), ..QuarantineFilter::default() };
    let mut found = store.load_quarantine(&filter, 2).await?.into_iter();
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => Err(Failure::usage(format!("there is no record `{id}` in quarantine"))
            .hint("`amzctl quarantine list --state all` shows their ids")
            .into()),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("more than one id begins with `{id}`")).hint("give more of it").into())
        }
    }
}
