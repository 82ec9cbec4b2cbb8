//! Compare: daily rows of a product and its rivals -> one comparison document.
//!
//! Reads core and cohorts; `publish` writes each cohort's newest comparison to the mart. One unit of work is one
//! cohort. A second run writes the same rows.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Stopwatch;
use crate::failpoint;
use crate::model::{Cohort, Currency, Day, DayRange, Money, ProductKey, Workspace};
use crate::rollup::compare::{COMPLETENESS_DAYS, Comparison, Member, compare};
use crate::store::Store;

/// Older rows than this are not looked at, not even to call a member stale.
const LOOK_BACK_DAYS: i32 = 90;
/// Days of the stored comparison's series.
pub const PUBLISHED_WINDOW_DAYS: i32 = 30;

/// Who is compared with whom.
#[derive(Clone, Debug)]
pub struct Subject {
    pub cohort: Option<String>,
    pub main: ProductKey,
    /// (product, label, priority), in the order of display.
    pub competitors: Vec<(ProductKey, String, i64)>,
}

impl Subject {
    /// A stored cohort, competitors by priority.
    pub fn of_cohort(cohort: &Cohort) -> Subject {
        let competitors = cohort.competitors.iter().map(|m| (m.key, m.label.clone(), m.priority)).collect();
        Subject { cohort: Some(cohort.name.clone()), main: cohort.main, competitors }
    }
}

/// Compares one subject as of a day, with series over `window_days`.
pub async fn run(
    store: &Store,
    subject: &Subject,
    as_of: Day,
    window_days: i32,
) -> anyhow::Result<Comparison> {
    let range = DayRange::window(as_of, window_days.max(COMPLETENESS_DAYS));
    let (main, competitors) = load_within(store, subject, range).await?;
    Ok(compare(subject.cohort.as_deref(), as_of, window_days, &main, &competitors))
}

/// The members with all the days that a comparison as of any of these looks at.
pub async fn load_members(
    store: &Store,
    subject: &Subject,
    days: DayRange,
) -> anyhow::Result<(Member, Vec<Member>)> {
    let first = days.first.plus(1 - COMPLETENESS_DAYS);
    load_within(store, subject, DayRange { first, last: days.last }).await
}

async fn load_within(
    store: &Store,
    subject: &Subject,
    range: DayRange,
) -> anyhow::Result<(Member, Vec<Member>)> {
    let main = load_member(store, subject.main, "", 0, range).await?;
    let mut competitors = Vec::with_capacity(subject.competitors.len());
    for (key, label, priority) in &subject.competitors {
        competitors.push(load_member(store, *key, label, *priority, range).await?);
    }
    Ok((main, competitors))
}

async fn load_member(
    store: &Store,
    key: ProductKey,
    label: &str,
    priority: i64,
    range: DayRange,
) -> anyhow::Result<Member> {
    let load = async |range: DayRange| {
        let days = store.load_daily(&[key], range).await;
        days.with_context(|| format!("failed to load the days of {key}"))
    };
    let mut days = load(range).await?;
    if days.is_empty() {
        // Older days only tell a member that is stale from one that was never seen.
        days = load(DayRange::window(range.last, LOOK_BACK_DAYS)).await?;
    }
    let product = store.load_product(key).await.with_context(|| format!("failed to load {key}"))?;
    Ok(Member {
        key,
        title: product.and_then(|product| product.title),
        label: label.to_owned(),
        priority,
        days,
    })
}

/// The comparison as `amzctl.compare/1`, with money both as minor units and as an amount with its currency.
pub fn document(comparison: &Comparison) -> anyhow::Result<Value> {
    let mut document = serde_json::to_value(comparison).context("failed to write the comparison as JSON")?;
    if let Some(object) = document.as_object_mut() {
        object.insert("schema".to_owned(), json!("amzctl.compare/1"));
    }
    let currency = comparison.main.currency.as_deref().and_then(|code| code.parse::<Currency>().ok());
    for (pair, value) in comparison
        .competitors
        .iter()
        .zip(document["competitors"].as_array_mut().map(|pairs| pairs.iter_mut()).into_iter().flatten())
    {
        let money = pair.price.gap.zip(currency).map(|(minor, currency)| Money { minor, currency });
        value["price"]["gap_amount"] = json!(money);
    }
    Ok(document)
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    pub cohorts: u64,
    /// Cohorts whose stored comparison changed.
    pub changed: u64,
}

/// Stores the comparison of every cohort of every workspace as of the newest day of its marketplace, and forgets removed cohorts.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "compare"))]
pub async fn publish(store: &Store) -> anyhow::Result<Summary> {
    let watch = Stopwatch::start();
    let mut summary = Summary::default();
    let workspaces = store.load_comparing_workspaces().await.context("failed to load workspaces")?;
    for workspace in &workspaces {
        publish_of(store, workspace, &mut summary).await?;
    }
    failpoint!("compare.after_publish");
    let Summary { cohorts, changed } = summary;
    tracing::info!(cohorts, changed, duration_ms = watch.elapsed_ms(), "comparisons published");
    Ok(summary)
}

async fn publish_of(store: &Store, workspace: &Workspace, summary: &mut Summary) -> anyhow::Result<()> {
    let mut records = Vec::new();
    for cohort in store.load_cohorts(workspace).await.context("failed to load cohorts")? {
        let Some(as_of) = store.newest_day(Some(cohort.main.marketplace)).await? else { continue };
        let comparison = run(store, &Subject::of_cohort(&cohort), as_of, PUBLISHED_WINDOW_DAYS).await?;
        let (products, day) = (comparison.competitors.len() + 1, as_of.to_string());
        tracing::debug!(cohort = cohort.name, asin = %cohort.main.asin, day, products, "cohort compared");
        let record = serde_json::to_string(&comparison).context("failed to write a comparison as JSON")?;
        records.push((cohort.name, as_of, record));
        summary.cohorts += 1;
    }
    failpoint!("compare.before_publish");
    summary.changed +=
        store.publish_comparisons(workspace, &records).await.context("failed to save comparisons")?;
    Ok(())
}
