//! Reports: those that were rendered, and what they say.

use crate::lake::Lake;
use crate::model::{Day, ProductRef, Timestamp, Workspace};
use crate::render::ReportFormat;
use crate::serve::answer::{Columns, Data, Output, Table, accepted, columns as of};
use crate::serve::call::Call;
use crate::serve::problem::{Kind, Problem};
use crate::serve::{App, Tables};
use crate::stages::report::{self, Options, Subject};
use crate::store::export::FieldKind::{Instant, Int, Text};
use crate::store::outbox::Audience;
use crate::store::reports::ReportRow;

/// Columns of a report as text.
const WIDTH: usize = 100;

/// The forms of a report: its word, its media type, how it is drawn.
const FORMS: [(&str, &str, ReportFormat); 4] = [
    ("html", "text/html; charset=utf-8", ReportFormat::Html),
    ("markdown", "text/markdown; charset=utf-8", ReportFormat::Markdown),
    ("json", "application/json", ReportFormat::Json),
    ("text", "text/plain; charset=utf-8", ReportFormat::Table { width: WIDTH }),
];

pub(in crate::serve) fn columns(_: &Tables) -> Columns {
    of(&[
        ("report_id", Text),
        ("subject", Text),
        ("as_of", Text),
        ("format", Text),
        ("evidence_hash", Text),
        ("size_bytes", Int),
        ("run_id", Text),
        ("created_at", Instant),
    ])
}

fn table(call: &Call, reports: Vec<ReportRow>) -> Table {
    let row = |report: ReportRow| {
        vec![
            report.report_id.into(),
            report.subject.into(),
            report.as_of.into(),
            report.format.into(),
            report.evidence_hash.into(),
            report.size_bytes.into(),
            report.run_id.into(),
            report.created_at.into(),
        ]
    };
    Table { columns: columns(&call.app.tables), rows: reports.into_iter().map(row).collect() }
}

pub(in crate::serve) async fn list(call: Call) -> Result<Output, Problem> {
    let limit = call.limit()?;
    let before = call.place()?.map(|[at, id]: [String; 2]| (at.parse().unwrap_or_default(), id));
    let (store, workspace) = (&call.app.store, &call.caller.workspace);
    let mut reports = store.load_reports(workspace, call.text("subject"), before, limit + 1).await?;
    let has_more = reports.len() > limit as usize;
    reports.truncate(limit as usize);
    let place = |last: &ReportRow| [micros(last.created_at), last.report_id.clone()];
    let next = reports.last().filter(|_| has_more).map(|last| call.cursor(&place(last)));
    Ok(Output::from(table(&call, reports)).next(next))
}

/// An instant in a cursor.
pub(super) fn micros(at: Timestamp) -> String {
    at.timestamp_micros().to_string()
}

pub(in crate::serve) async fn one(call: Call) -> Result<Output, Problem> {
    let report = named(&call).await?;
    Ok(Data::Record(table(&call, vec![report])).into())
}

async fn named(call: &Call) -> Result<ReportRow, Problem> {
    let id = call.part("report");
    let found = call.app.store.load_report(&call.caller.workspace, id).await?;
    found.ok_or_else(|| Problem::not_found(format!("report `{id}`")))
}

/// The report drawn anew: what is stored of it is what it was drawn from, not the text.
pub(in crate::serve) async fn content(call: Call) -> Result<Output, Problem> {
    let stored = named(&call).await?;
    let (content_type, format) = form(&call)?;
    let subject = subject(&call, &stored).await?;
    let usual = if subject == Subject::Watchlist { 30 } else { 90 };
    let days = call.number("days", 1..=730, usual)?;
    let lake: &Lake = &call.app.options.lake;
    let workspace = call.caller.workspace.clone();
    let options = report_options(&call.app, workspace, subject, stored.as_of, days as i32, format);
    let rendered = report::run(&call.app.store, lake, &options).await?;
    Ok(Data::Text { content_type, text: rendered.text }.into())
}

/// A report that is drawn for whoever asks, and neither kept nor told of.
pub(in crate::serve) fn report_options(
    app: &App,
    workspace: Workspace,
    subject: Subject,
    as_of: Day,
    days: i32,
    format: ReportFormat,
) -> Options {
    Options {
        workspace,
        subject,
        as_of,
        days,
        zone: app.options.zone,
        format,
        path: None,
        run_id: None,
        audience: Audience::default(),
        now: app.options.clock.now(),
        dry_run: true,
    }
}

fn form(call: &Call) -> Result<(&'static str, ReportFormat), Problem> {
    if let Some(word) = call.text("format") {
        let found = FORMS.iter().find(|(name, ..)| *name == word);
        let wrong = || Problem::parameter("format", "is none of html, markdown, json, text");
        return found.map(|(_, media_type, format)| (*media_type, *format)).ok_or_else(wrong);
    }
    let Some(accept) = &call.accept else { return Ok((FORMS[0].1, FORMS[0].2)) };
    let mut best = (0.0, None);
    for (_, media_type, format) in FORMS {
        let quality = accepted(accept, media_type.split(';').next().unwrap_or_default());
        if quality > best.0 {
            best = (quality, Some((media_type, format)));
        }
    }
    best.1.ok_or_else(|| Problem::new(Kind::NotAcceptable, "there are HTML, Markdown, JSON and text"))
}

/// What the stored report is about; what is there no more cannot be drawn.
async fn subject(call: &Call, stored: &ReportRow) -> Result<Subject, Problem> {
    if stored.subject == "watchlist" {
        return Ok(Subject::Watchlist);
    }
    if let Some(name) = stored.subject.strip_prefix("cohort:") {
        let cohort = call.app.store.load_cohort(&call.caller.workspace, name).await?;
        return cohort
            .map(Subject::Cohort)
            .ok_or_else(|| Problem::not_found(format!("cohort `{name}` any more")));
    }
    let product: Option<ProductRef> = stored.subject.parse().ok();
    match product {
        Some(_) => Ok(Subject::Product(call.product_named(&stored.subject).await?)),
        None => Err(Problem::not_found(format!("subject `{}`", stored.subject))),
    }
}
