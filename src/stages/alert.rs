//! Alert: mart -> findings -> alerts and outbox.
//!
//! Reads the days that were built since alerts were last judged in the workspace, its cohorts and watchlist,
//! listing versions and open incidents. Judges the workspace's products, and in `main` those that no
//! workspace has too. Writes alerts, events and deliveries. First of all, what was snoozed until now is open
//! again. One unit of work is a month of judged days; the last one also holds what tells of the present and
//! moves the mark. A second run finds every alert there and changes nothing.
//!
//! **What is told.** Findings of a marketplace's newest two days (its newest day in the mart and the one
//! before), if these are of the mart's last week, and those that tell of the present whatever their day.
//! Older ones come from late data and backfills: they are stored as historical, without an event, unless
//! history is asked for. So are those of a day whose row a provider told in hindsight, however new the day.

mod around;
pub mod backtest;
mod delta_rows;
mod evidence;
mod hold;
mod reconcile;
mod second;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::error::Outcome;
use crate::lake::Lake;
use crate::model::{Day, DayRange, Marketplace, ProductKey, ProductRef, ReportingZone, Workspace};
use crate::rollup::rules::{Finding, Gate, Judged, Rule, RuleBook, RuleSet, Subject};
use crate::store::Store;
use crate::store::alerts::JudgedAlert;
use crate::store::judging::UnjudgedDays;
use crate::store::outbox::Subscriber;
use delta_rows::{Look, fold_rows};
use hold::{AllPending, SaidSince};
use reconcile::{Reconciled, Scope, reconcile};

pub use second::{Awaiting, SecondSource};

/// A marketplace whose newest day lies this many days behind the mart's has nothing new to tell.
const FRESH_DAYS: i32 = 7;
/// Findings of this many newest days of a marketplace are told.
const TOLD_DAYS: i32 = 2;

/// Of which judged days somebody is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// The newest two.
    Newest,
    All,
    /// None: what a backfill brings to light is no news, even about today.
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub run_id: String,
    pub workspace: Workspace,
    pub rules: RuleBook,
    /// Null: nothing is held back, what was held is told, and nothing is resolved by itself.
    pub gate: Option<Gate>,
    /// Days after which what is held back is decided without evidence.
    pub decide_after_days: u32,
    /// Null: one source is enough.
    pub second: Option<SecondSource>,
    /// Seller ids that are ours.
    pub own_sellers: BTreeSet<String>,
    pub zone: ReportingZone,
    /// Who hears of which event.
    pub recipients: Vec<Subscriber>,
    pub tell: Telling,
    /// Judge, and write nothing.
    pub dry_run: bool,
}

/// A new alert, or one that became more severe.
#[derive(Clone, PartialEq, Debug)]
pub struct Fired {
    pub alert_id: String,
    pub escalated: bool,
    /// False for a historical one.
    pub is_told: bool,
    pub finding: Finding,
}

/// By which rules each product of the workspace is judged.
#[derive(Clone, Debug)]
struct Judges {
    book: RuleBook,
    unjudged: Arc<UnjudgedDays>,
    /// Empty where the rules are the same for every product.
    subjects: Arc<HashMap<ProductKey, Subject>>,
    /// Without a gate just what an earlier one held back.
    pending: Arc<AllPending>,
    /// Ids of the alerts of sources that nobody has ended.
    of_sources: Vec<String>,
}

impl Judges {
    async fn load(store: &Store, options: &Options) -> anyhow::Result<Judges> {
        let unjudged = store.load_unjudged_days(&options.workspace).await;
        let unjudged = Arc::new(unjudged.context("failed to load the days to judge")?);
        let subjects = match options.rules.is_special() {
            true => store.load_subjects(&options.workspace).await,
            false => Ok(HashMap::new()),
        };
        let subjects = Arc::new(subjects.context("failed to load what the rules select by")?);
        let (pending, of_sources) =
            hold::load_pending(store, &options.workspace, options.gate.is_some()).await?;
        let pending = Arc::new(pending);
        Ok(Judges { book: options.rules.clone(), unjudged, subjects, pending, of_sources })
    }

    /// Null where the product is not judged in this workspace.
    fn rules_of(&self, product: ProductKey) -> Option<Arc<RuleSet>> {
        let is_judged = self.unjudged.products.contains(product);
        is_judged.then(|| self.book.set_for(product, self.subjects.get(&product)))
    }

    /// The finding in the words of its rule.
    fn worded(&self, finding: Finding) -> Finding {
        match finding.product.and_then(|product| self.rules_of(product)) {
            Some(set) => self.book.worded(finding, &set),
            None => self.book.worded(finding, self.book.base()),
        }
    }
}

/// What a run judged and what came of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Days of a marketplace.
    pub days_judged: u64,
    pub rows_judged: u64,
    /// New alerts that are told.
    pub opened: u64,
    /// Alerts that became more severe and are told again.
    pub escalated: u64,
    /// New alerts, and alerts that became more severe, of days too old to be told.
    pub historical: u64,
    /// Alerts of which a later look says something else now.
    pub superseded: u64,
    /// Changes left unjudged because the value before is too old.
    pub gap_too_long: u64,
    /// Findings that the quality gate holds back.
    pub held: u64,
    /// Findings that were held back and are told now.
    pub released: u64,
    /// Findings that were held back and were none.
    pub dropped: u64,
    /// Findings that are held back and that a second source contradicts since now.
    pub contradicted: u64,
    /// Alerts that are over.
    pub cleared: u64,
    /// Snoozed alerts whose time was over: they are open again.
    pub woken: u64,
    /// Incidents of sources among the new alerts.
    pub source_incidents: u64,
    pub cancelled: bool,
    #[serde(skip)]
    pub fired: Vec<Fired>,
    /// What waits for a second source.
    #[serde(skip)]
    pub awaiting: Vec<Awaiting>,
    /// Incidents of the quality gate that say that a source delivered what cannot be, and hold something since now.
    #[serde(skip)]
    pub doubted_sources: u64,
    /// So many are held since now for nothing else than that one source alone has shown them.
    #[serde(skip)]
    pub held_for_second: u64,
}

impl Summary {
    /// A source in trouble is a failure of the run; findings about products are not.
    pub fn outcome(&self) -> Outcome {
        let troubles = self.source_incidents + self.doubted_sources;
        if troubles > 0 { Outcome::PartlyFailed } else { Outcome::Done }
    }

    /// Something new is told.
    pub fn has_news(&self) -> bool {
        self.opened + self.escalated > 0
    }

    fn count(&mut self, reconciled: &mut Reconciled) {
        self.superseded +=
            reconciled.batch.superseded.iter().filter(|(_, note)| !note.is_empty()).count() as u64;
        for fired in &reconciled.fired {
            let is_incident = fired.finding.rule == Rule::SourceIncident;
            self.source_incidents += u64::from(is_incident && !fired.escalated);
            match (fired.is_told, fired.escalated) {
                (false, _) => self.historical += 1,
                (true, false) => self.opened += 1,
                (true, true) => self.escalated += 1,
            }
        }
        self.fired.append(&mut reconciled.fired);
    }
}

/// Judges what is new month by month, and last the present.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "alert"))]
pub async fn run(
    store: &Store,
    lake: &Lake,
    clock: Clock,
    cancel: &CancelToken,
    options: &Options,
) -> anyhow::Result<Summary> {
    let judges = Judges::load(store, options).await?;
    let whole = Stopwatch::start();
    let mut summary = Summary { woken: wake(store, clock, options).await?, ..Summary::default() };
    let months = by_month(&judges.unjudged.days);
    for (index, days) in months.iter().enumerate() {
        if cancel.is_cancelled() {
            summary.cancelled = true;
            return Ok(summary);
        }
        let (watch, before) = (Stopwatch::start(), summary.rows_judged);
        let judged = judge_days(store, lake, days, &judges, options, &mut summary).await?;
        let is_last = index + 1 == months.len();
        commit(store, clock, options, &judges, judged, is_last, &mut summary).await?;
        let month = days.first().map(|(_, day)| day.month());
        let (rows, duration_ms) = (summary.rows_judged - before, watch.elapsed_ms());
        tracing::info!(month, days = days.len(), rows, duration_ms, "month judged");
    }
    if months.is_empty() {
        commit(store, clock, options, &judges, JudgedDays::default(), true, &mut summary).await?;
    }
    let Summary { days_judged: days, opened, escalated, historical, superseded, .. } = summary;
    let duration_ms = whole.elapsed_ms();
    tracing::info!(days, opened, escalated, historical, superseded, duration_ms, "alerts judged");
    Ok(summary)
}

/// Opens the alerts that were snoozed until now; answers how many there are.
async fn wake(store: &Store, clock: Clock, options: &Options) -> anyhow::Result<u64> {
    let (workspace, now) = (&options.workspace, clock.now());
    let woken = match options.dry_run {
        true => store.count_overslept(workspace, now).await,
        false => store.wake_snoozed(workspace, now).await,
    };
    woken.context("failed to open the alerts that were snoozed until now")
}

/// What judging some days gave.
#[derive(Debug, Default)]
struct JudgedDays {
    findings: Vec<Finding>,
    scope: Scope,
    since: SaidSince,
}

/// The days of each month, in order.
fn by_month(days: &[(Marketplace, Day)]) -> Vec<BTreeSet<(Marketplace, Day)>> {
    let mut months: BTreeMap<Day, BTreeSet<(Marketplace, Day)>> = BTreeMap::new();
    for (marketplace, day) in days {
        months.entry(day.month_start()).or_default().insert((*marketplace, *day));
    }
    months.into_values().collect()
}

/// What the delta rows of some days gave.
#[derive(Default)]
struct SeenRows {
    judged: Judged,
    rows: u64,
    since: SaidSince,
}

async fn judge_days(
    store: &Store,
    lake: &Lake,
    days: &BTreeSet<(Marketplace, Day)>,
    judges: &Judges,
    options: &Options,
    summary: &mut Summary,
) -> anyhow::Result<JudgedDays> {
    let mut judged = around::judge_listings(store, days, judges, options).await?;
    let mut since = SaidSince::default();
    let mut by_marketplace: BTreeMap<Marketplace, BTreeSet<Day>> = BTreeMap::new();
    for (marketplace, day) in days {
        by_marketplace.entry(*marketplace).or_default().insert(*day);
    }
    for (marketplace, days) in &by_marketplace {
        let (own_sellers, pending) = (options.own_sellers.clone(), judges.pending.clone());
        let look = move |seen: &mut SeenRows, look: &Look<'_>| {
            seen.judged.append(look.judge(&own_sellers));
            seen.rows += 1;
            if let Some(pending) = pending.get(&look.rows[look.at].product) {
                seen.since.ask(pending, look);
            }
        };
        let seen: SeenRows = fold_rows(store, lake, *marketplace, days, 0, judges, look).await?;
        judged.append(seen.judged);
        since.append(seen.since);
        summary.rows_judged += seen.rows;
    }
    let (undercut, undercut_days) = around::judge_cohorts(store, days, judges, options).await?;
    judged.append(undercut);
    summary.days_judged += days.len() as u64;
    summary.gap_too_long += judged.gap_too_long;
    let scope = Scope { days: days.clone(), undercut_days };
    Ok(JudgedDays { findings: judged.findings, scope, since })
}

/// Writes what the days' findings change; the last time together with those of the present and the mark.
async fn commit(
    store: &Store,
    clock: Clock,
    options: &Options,
    judges: &Judges,
    judged: JudgedDays,
    is_last: bool,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let JudgedDays { mut findings, scope, mut since } = judged;
    let unjudged = &judges.unjudged;
    let mut existing = match around::range_of(scope.all_days()) {
        Some(days) => load_existing(store, options, days).await?,
        None => Vec::new(),
    };
    // Of a product that is not judged here any more nothing new is known.
    existing.retain(|alert| product_of(alert).is_none_or(|product| unjudged.products.contains(product)));
    let id_of = |finding: &Finding| finding.alert_id(options.workspace.as_str());
    evidence::no_longer_found(judges, &scope, &findings.iter().map(id_of).collect(), &mut since);
    if is_last {
        let mut present = around::judge_present(store, clock, judges, options).await?;
        // Before the first build nothing says which days are new.
        present.retain(|finding| finding.rule.is_of_the_present() || !unjudged.newest_days.is_empty());
        let ids: Vec<String> = present.iter().map(id_of).collect();
        let known = store.load_alerts_by_id(&options.workspace, &ids).await;
        existing.extend(known.context("failed to load alerts of the present")?);
        let awaiting = settle(store, clock, options, judges, &present, &mut since).await?;
        summary.awaiting.extend(awaiting);
        findings.extend(present);
    }
    let mut findings: Vec<Finding> = findings.into_iter().map(|finding| judges.worded(finding)).collect();
    let news = News::load(store, options, unjudged, &findings).await?;
    let decided = since.decided();
    if options.gate.is_none() {
        // What is decided now is told by that.
        findings.retain(|finding| !decided.contains(&id_of(finding)));
    }
    let known = existing.iter().map(|alert| (alert.alert_id.as_str(), alert.severity)).collect();
    let mut sifted = hold::sift(store, clock.now(), options, judges, findings, &known, &news).await?;
    // Of an alert that may be graver than it was told the present says nothing yet.
    existing.retain(|alert| !sifted.withheld.contains(&alert.alert_id));
    // What is decided now was decided as it was held.
    sifted.looked_again.retain(|one| !decided.contains(&one.alert.alert_id));
    summary.held_for_second += sifted.held_for_second;
    summary.held += sifted.held.len() as u64;
    let of_sources = sifted.incidents.iter().filter(|incident| incident.reason.is_of_a_source());
    summary.doubted_sources += of_sources.count() as u64;
    summary.awaiting.append(&mut sifted.awaiting);
    summary.cleared += since.cleared.len() as u64;
    summary.contradicted += since.notes.len() as u64;
    let mut reconciled = reconcile(&options.workspace, &existing, sifted.passed, &scope, &news);
    let batch = &mut reconciled.batch;
    (batch.cleared, batch.decided, batch.noted) = (since.cleared, since.decisions, since.notes);
    (batch.incidents, batch.refuted) = (sifted.incidents, sifted.refuted);
    batch.held = sifted.held;
    batch.held.append(&mut sifted.looked_again);
    let judged_through = (is_last && !unjudged.days.is_empty()).then_some(unjudged.through_seq);
    if !options.dry_run && (!batch.is_empty() || judged_through.is_some()) {
        let (workspace, run_id, subscribers) = (&options.workspace, &options.run_id, &options.recipients);
        let written =
            store.commit_alerts(workspace, run_id, clock.now(), batch, subscribers, judged_through).await;
        let decided = written.context("failed to save alerts")?;
        summary.released += decided.opened + decided.escalated;
        summary.dropped += decided.dropped;
    }
    reconciled.fired.iter().for_each(log_fired);
    summary.count(&mut reconciled);
    Ok(())
}

/// Decides of what is pending by what is known of the present; answers what waits for a second source.
async fn settle(
    store: &Store,
    clock: Clock,
    options: &Options,
    judges: &Judges,
    present: &[Finding],
    since: &mut SaidSince,
) -> anyhow::Result<Vec<Awaiting>> {
    evidence::ask_around(store, judges, since).await?;
    evidence::no_longer_present(judges, present, since);
    if options.gate.is_none() {
        evidence::release_the_rest(judges, since);
        return Ok(Vec::new());
    }
    evidence::well_again(judges, &options.workspace, present, since);
    let awaiting = second::decide(store, clock.now(), judges, options, since).await?;
    evidence::decide_by_time(store, clock.now(), judges, options, since).await?;
    Ok(awaiting)
}

fn log_fired(fired: &Fired) {
    let Finding { rule, severity, product, day, .. } = &fired.finding;
    let (rule, severity, day) = (rule.as_str(), severity.as_str(), day.to_string());
    let asin = product.map(|product| product.asin.to_string());
    let marketplace = product.map(|product| product.marketplace.code());
    let (alert_id, is_told) = (fired.alert_id.as_str(), fired.is_told);
    tracing::debug!(alert_id, rule, severity, marketplace, asin, day, is_told, "alert fired");
}

async fn load_existing(store: &Store, options: &Options, days: DayRange) -> anyhow::Result<Vec<JudgedAlert>> {
    store
        .load_alerts_of_days(&options.workspace, days)
        .await
        .with_context(|| format!("failed to load the alerts of {} to {}", days.first, days.last))
}

/// Null where the alert is about a source.
fn product_of(alert: &JudgedAlert) -> Option<ProductKey> {
    Some(ProductKey { marketplace: alert.marketplace.parse().ok()?, asin: alert.asin.parse().ok()? })
}

/// Which findings people are told of.
struct News<'a> {
    tell: Telling,
    newest_days: &'a BTreeMap<Marketplace, Day>,
    /// Days that a provider told of in hindsight; only of those that could be told at all.
    hindsight: BTreeSet<(ProductKey, Day)>,
}

impl News<'_> {
    async fn load<'a>(
        store: &Store,
        options: &Options,
        unjudged: &'a UnjudgedDays,
        findings: &[Finding],
    ) -> anyhow::Result<News<'a>> {
        let newest_days = &unjudged.newest_days;
        let hindsight = match around::range_of(findings.iter().map(|finding| finding.day)) {
            Some(days) if options.tell == Telling::Newest => {
                let newest = newest_days.values().max().map_or(days.last, |newest| newest.plus(-FRESH_DAYS));
                let days = DayRange { first: days.first.max(newest), last: days.last };
                store.load_hindsight(days).await.context("failed to load the days told in hindsight")?
            }
            _ => BTreeSet::new(),
        };
        Ok(News { tell: options.tell, newest_days, hindsight })
    }

    fn is_told(&self, finding: &Finding) -> bool {
        match self.tell {
            Telling::All => true,
            Telling::Newest => {
                finding.rule.is_of_the_present() || (self.is_new(finding) && !self.is_hindsight(finding))
            }
            Telling::Nothing => false,
        }
    }

    /// True for a finding about a day told in hindsight: of the product's own, or of the competitor's that it
    /// names.
    fn is_hindsight(&self, finding: &Finding) -> bool {
        let Some(product) = finding.product else { return false };
        let competitor =
            finding.object.parse::<ProductRef>().ok().map(|named| named.key_or(product.marketplace));
        let mut products = [Some(product), competitor].into_iter().flatten();
        products.any(|product| self.hindsight.contains(&(product, finding.day)))
    }

    /// True for findings of their marketplace's newest days, unless it was left behind by the others.
    fn is_new(&self, finding: &Finding) -> bool {
        let newest = self.newest_days.values().max();
        let own = finding.product.and_then(|product| self.newest_days.get(&product.marketplace)).or(newest);
        let is_after =
            |newest: Option<&Day>, days: i32| newest.is_none_or(|newest| finding.day > newest.plus(-days));
        is_after(own, TOLD_DAYS) && is_after(newest, FRESH_DAYS)
    }
}

#[cfg(test)]
mod tests;
