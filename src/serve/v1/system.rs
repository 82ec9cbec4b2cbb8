//! What the whole installation knows of itself: runs, costs, quarantine, the audit log; and what the fields are.

use crate::model::DayRange;
use crate::render::rows::Cell;
use crate::serve::Tables;
use crate::serve::answer::{Columns, Output, Table, columns as of};
use crate::serve::call::Call;
use crate::serve::problem::Problem;
use crate::serve::routes::{ROUTES, Shape};
use crate::stages::runs::{Holders, RUN_COLUMNS, run_rows};
use crate::store::export::FieldKind::{self, Instant, Int, Text};
use crate::store::ops::RunRecord;
use crate::store::spending::{Spending, SpendingBy};

use super::reports::micros;

pub(in crate::serve) fn run_columns(_: &Tables) -> Columns {
    of(&RUN_COLUMNS)
}

pub(in crate::serve) async fn runs(call: Call) -> Result<Output, Problem> {
    let limit = call.limit()?;
    let before = call.place()?.map(|[at, id]: [String; 2]| (at.parse().unwrap_or_default(), id));
    let store = &call.app.store;
    let mut runs = store.load_runs_before(before, limit + 1).await?;
    let has_more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    let holders = Holders::now(store).await?;
    let place = |last: &RunRecord| [micros(last.start.started_at), last.start.run_id.clone()];
    let next = runs.last().filter(|_| has_more).map(|last| call.cursor(&place(last)));
    Ok(Output::from(Table::of_rows(run_columns(&call.app.tables), run_rows(&runs, &holders))).next(next))
}

pub(in crate::serve) fn cost_columns(_: &Tables) -> Columns {
    of(&[
        ("name", Text),
        ("source", Text),
        ("requests", Int),
        ("answered", Int),
        ("failed", Int),
        ("lost", Int),
        ("open", Int),
        ("products", Int),
        ("units", Int),
        ("usd_micros", Int),
        ("unpriced_requests", Int),
    ])
}

pub(in crate::serve) async fn costs(call: Call) -> Result<Output, Problem> {
    let by = call.word("by", SpendingBy::from_word)?.unwrap_or(SpendingBy::Source);
    let today = call.app.options.zone.day_of(call.app.options.clock.now());
    let range = match call.text("from").or(call.text("to")) {
        Some(_) => call.days(today)?,
        None => DayRange { first: today.month_start(), last: today },
    };
    let spent = call.app.store.load_spending(by, range).await?;
    let row = |line: Spending| {
        vec![
            line.name.into(),
            line.source.into(),
            line.requests.into(),
            line.answered.into(),
            line.failed.into(),
            line.lost.into(),
            line.open.into(),
            line.products.into(),
            line.units.into(),
            line.micros.into(),
            line.unpriced.into(),
        ]
    };
    Ok(Table { columns: cost_columns(&call.app.tables), rows: spent.into_iter().map(row).collect() }.into())
}

pub(in crate::serve) fn source_columns(_: &Tables) -> Columns {
    of(&[
        ("source", Text),
        ("breaker", Text),
        ("failures", Int),
        ("retry_at", Instant),
        ("reason", Text),
        ("last_success_at", Instant),
        ("last_failure_at", Instant),
        ("balance", Text),
    ])
}

pub(in crate::serve) async fn sources(call: Call) -> Result<Output, Problem> {
    let states = call.app.store.load_source_states().await?;
    let known = |text: String| if text.is_empty() { Cell::Null } else { text.into() };
    let rows = states.into_iter().map(|state| {
        vec![
            state.source.into(),
            state.breaker.as_str().into(),
            i64::from(state.failures).into(),
            state.retry_at.into(),
            known(state.reason),
            state.last_success_at.into(),
            state.last_failure_at.into(),
            known(state.balance),
        ]
    });
    Ok(Table { columns: source_columns(&call.app.tables), rows: rows.collect() }.into())
}

pub(in crate::serve) fn quarantine_columns(_: &Tables) -> Columns {
    of(&[("reason", Text), ("records", Int)])
}

pub(in crate::serve) async fn quarantine(call: Call) -> Result<Output, Problem> {
    let counts = call.app.store.count_quarantined(None).await?;
    let rows = counts.into_iter().map(|(reason, records)| vec![reason.into(), records.into()]).collect();
    Ok(Table { columns: quarantine_columns(&call.app.tables), rows }.into())
}

pub(in crate::serve) fn audit_columns(_: &Tables) -> Columns {
    of(&[
        ("audit_id", Int),
        ("at", Instant),
        ("actor", Text),
        ("key_id", Text),
        ("action", Text),
        ("object", Text),
        ("status", Int),
        ("request_id", Text),
    ])
}

pub(in crate::serve) async fn audit(call: Call) -> Result<Output, Problem> {
    let limit = call.limit()?;
    let before = call.place()?.map(|[id]: [String; 1]| id.parse().unwrap_or_default());
    let mut lines = call.app.store.load_audit(&call.caller.workspace, before, limit + 1).await?;
    let has_more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next = lines.last().filter(|_| has_more).map(|last| call.cursor(&[last.audit_id.to_string()]));
    let known = |text: String| if text.is_empty() { Cell::Null } else { text.into() };
    let rows = lines.into_iter().map(|line| {
        vec![
            line.audit_id.into(),
            line.at.into(),
            line.actor.into(),
            known(line.key_id),
            line.action.into(),
            line.object.into(),
            line.status.into(),
            known(line.request_id),
        ]
    });
    Ok(Output::from(Table { columns: audit_columns(&call.app.tables), rows: rows.collect() }).next(next))
}

pub(in crate::serve) fn field_columns(_: &Tables) -> Columns {
    of(&[("route", Text), ("path", Text), ("field", Text), ("type", Text), ("unit", Text)])
}

/// Every column of every table that can be asked for.
pub(in crate::serve) async fn fields(call: Call) -> Result<Output, Problem> {
    let tables = &call.app.tables;
    let mut rows = Vec::new();
    for route in ROUTES {
        let (Shape::Table(columns) | Shape::Record(columns)) = route.shape else { continue };
        for (name, kind) in columns(tables) {
            rows.push(vec![
                route.id.into(),
                route.path.into(),
                name.as_str().into(),
                type_of(kind).into(),
                unit_of(&name).into(),
            ]);
        }
    }
    Ok(Table { columns: field_columns(tables), rows }.into())
}

fn type_of(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "text",
        FieldKind::Int => "integer",
        FieldKind::Real => "number",
        FieldKind::Bool => "boolean",
        FieldKind::Instant => "instant",
        FieldKind::Json => "json",
    }
}

/// What a column counts in, as its name says by itself; null where it counts nothing.
fn unit_of(name: &str) -> Option<&'static str> {
    const UNITS: [(&str, &str); 9] = [
        ("_minor", "minor units of the currency"),
        ("_centi", "hundredths of a star"),
        ("_pct", "percent"),
        ("_micros", "millionths of a dollar"),
        ("_bytes", "bytes"),
        ("_days", "days"),
        ("_score", "0 to 100"),
        ("_s", "seconds"),
        ("day", "day, YYYY-MM-DD"),
    ];
    UNITS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, unit)| *unit)
}
