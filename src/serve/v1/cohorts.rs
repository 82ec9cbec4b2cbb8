//! Cohorts, and what they say when they are compared.

use serde_json::{Value, json};

use crate::model::{Cohort, DayRange, ProductKey};
use crate::render::rows::Cell;
use crate::rollup::compare::{Member, compare};
use crate::serve::Tables;
use crate::serve::answer::{Columns, Data, Output, Table, columns as of};
use crate::serve::call::Call;
use crate::serve::problem::{Kind, Problem};
use crate::stages::compare::{self as stage, Subject};
use crate::store::export::FieldKind::{Instant, Int, Real, Text};

/// Days of a history: each is a comparison of all members.
const MOST_DAYS: i32 = 366;

pub(in crate::serve) fn columns(_: &Tables) -> Columns {
    of(&[
        ("name", Text),
        ("marketplace", Text),
        ("main_asin", Text),
        ("label", Text),
        ("competitors", Int),
        ("created_at", Instant),
    ])
}

pub(in crate::serve) async fn list(call: Call) -> Result<Output, Problem> {
    let cohorts = call.app.store.load_cohorts(&call.caller.workspace).await?;
    let row = |cohort: Cohort| {
        vec![
            cohort.name.into(),
            cohort.main.marketplace.into(),
            cohort.main.asin.into(),
            cohort.label.into(),
            cohort.competitors.len().into(),
            cohort.created_at.into(),
        ]
    };
    let rows = cohorts.into_iter().map(row).collect();
    Ok(Table { columns: columns(&call.app.tables), rows }.into())
}

pub(in crate::serve) fn schema() -> Value {
    let member = json!({
        "type": "object",
        "required": ["marketplace", "asin", "label", "priority"],
        "properties": {
            "marketplace": { "type": "string" }, "asin": { "type": "string" },
            "label": { "type": "string" }, "priority": { "type": "integer" },
        },
    });
    json!({
        "type": "object",
        "required": ["name", "label", "main", "competitors", "created_at"],
        "properties": {
            "name": { "type": "string" },
            "label": { "type": "string" },
            "main": {
                "type": "object",
                "required": ["marketplace", "asin"],
                "properties": { "marketplace": { "type": "string" }, "asin": { "type": "string" } },
            },
            "competitors": { "type": "array", "items": member },
            "created_at": { "type": "string", "format": "date-time" },
        },
    })
}

pub(in crate::serve) async fn one(call: Call) -> Result<Output, Problem> {
    let cohort = named(&call).await?;
    let key = |key: ProductKey| json!({ "marketplace": key.marketplace, "asin": key.asin });
    let competitors: Vec<Value> = cohort
        .competitors
        .iter()
        .map(|one| {
            let ProductKey { marketplace, asin } = one.key;
            json!({ "marketplace": marketplace, "asin": asin, "label": one.label, "priority": one.priority })
        })
        .collect();
    let document = json!({
        "name": cohort.name,
        "label": cohort.label,
        "main": key(cohort.main),
        "competitors": competitors,
        "created_at": crate::render::rows::instant(cohort.created_at),
    });
    Ok(Data::Document(document).into())
}

async fn named(call: &Call) -> Result<Cohort, Problem> {
    let name = call.part("cohort");
    let cohort = call.app.store.load_cohort(&call.caller.workspace, name).await?;
    cohort.ok_or_else(|| Problem::not_found(format!("cohort `{name}`")))
}

pub(in crate::serve) fn competition_schema() -> Value {
    json!({
        "type": "object",
        "description": "As `amzctl compare --json` prints it",
        "required": ["schema", "as_of", "window_days", "main", "competitors", "scores", "market", "completeness", "confidence"],
        "properties": {
            "schema": { "type": "string", "const": "amzctl.compare/1" },
            "cohort": { "type": ["string", "null"] },
            "as_of": { "type": "string", "format": "date" },
            "window_days": { "type": "integer" },
            "main": { "type": "object" },
            "competitors": { "type": "array", "items": { "type": "object" } },
            "scores": { "type": "object" },
            "market": { "type": "object" },
            "completeness": { "type": "number" },
            "confidence": { "type": "string" },
        },
    })
}

pub(in crate::serve) async fn competition(call: Call) -> Result<Output, Problem> {
    let cohort = named(&call).await?;
    let newest = call.app.store.newest_day(Some(cohort.main.marketplace)).await?;
    let as_of = call.day("as_of")?.or(newest).ok_or_else(|| Problem::not_found("day that was seen"))?;
    let days = call.number("days", 1..=366, 30)?;
    let subject = Subject::of_cohort(&cohort);
    let comparison = stage::run(&call.app.store, &subject, as_of, days as i32).await?;
    Ok(Data::Document(stage::document(&comparison)?).into())
}

pub(in crate::serve) fn history_columns(_: &Tables) -> Columns {
    of(&[
        ("cohort", Text),
        ("day", Text),
        ("currency", Text),
        ("price_minor", Int),
        ("bsr", Int),
        ("rating_centi", Int),
        ("price_score", Real),
        ("quality_score", Real),
        ("popularity_score", Real),
        ("overall_score", Real),
        ("price_index", Real),
        ("cheaper_competitors", Int),
        ("competitors_valued", Int),
        ("completeness", Real),
        ("confidence", Text),
    ])
}

/// The comparison of every day as it was then.
pub(in crate::serve) async fn history(call: Call) -> Result<Output, Problem> {
    let cohort = named(&call).await?;
    let newest = call.app.store.newest_day(Some(cohort.main.marketplace)).await?;
    let newest = newest.ok_or_else(|| Problem::not_found("day that was seen"))?;
    let range = call.days(newest)?;
    if range.last.no() - range.first.no() >= MOST_DAYS {
        return Err(Problem::new(Kind::InvalidParameter, format!("at most {MOST_DAYS} days at once")));
    }
    let subject = Subject::of_cohort(&cohort);
    let (main, competitors) = stage::load_members(&call.app.store, &subject, range).await?;
    let name = cohort.name.clone();
    let compared = tokio::task::spawn_blocking(move || rows(&name, range, &main, &competitors));
    let rows = compared.await.map_err(anyhow::Error::from)?;
    Ok(Table { columns: history_columns(&call.app.tables), rows }.into())
}

fn rows(cohort: &str, range: DayRange, main: &Member, competitors: &[Member]) -> Vec<Vec<Cell>> {
    let row = |day| {
        // A member's series is not asked for: the window is the day.
        let comparison = compare(Some(cohort), day, 1, main, competitors);
        let (scores, market) = (comparison.scores, comparison.market);
        vec![
            cohort.into(),
            day.into(),
            comparison.main.currency.into(),
            comparison.main.price_minor.into(),
            comparison.main.bsr.into(),
            comparison.main.rating_centi.into(),
            scores.price.into(),
            scores.quality.into(),
            scores.popularity.into(),
            scores.overall.into(),
            market.price_index.into(),
            market.cheaper_competitors.into(),
            market.competitors_valued.into(),
            comparison.completeness.into(),
            comparison.confidence.as_str().into(),
        ]
    };
    range.days().map(row).collect()
}
