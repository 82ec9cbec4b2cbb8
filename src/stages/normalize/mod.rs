//! Normalize: raw receipts -> observations, daily rows, listing versions, rejects.
//!
//! Reads receipts that the current normalizer has not read (`--replay`: all, or since a time). Writes core and
//! quarantine. One unit of work is a batch of receipts: its observations and everything derived from them are one
//! transaction. A second run finds nothing to read; a replay with the same version changes nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anyhow::Context as _;
use rayon::prelude::*;
use serde::Serialize;

use crate::cancel::CancelToken;
use crate::clock::{Clock, Stopwatch};
use crate::error::Outcome;
use crate::failpoint;
use crate::ids::stable_id;
use crate::model::{Listing, Marketplace, ReportingZone, Timestamp};
use crate::normalize::{
    AskedDays, ListingVersion, Note, Parsed, RecordContext, Reject, RejectReason, Shape, SourceListing,
    adds_nothing, choose_daily_row, content_hash, listing_versions, parse,
};
use crate::rollup::rules::IncidentFacts;
use crate::stages::exceeds_tolerance;
use crate::store::outbox::Audience;
use crate::store::{
    BatchEffect, Delivery, Derive, Failure, FieldKnown, NewIncident, NewObservation, NewQuarantine,
    NormalizedBatch, RawRecord, ReceiptOutcome, Recovery, Store, StoredRecord, Unread,
};

/// The kind of incidents of what a source delivers.
const SCHEMA_DRIFT: &str = "schema_drift";
/// Why: a field that was known nearly always is known hardly ever.
const FIELD_VANISHED: &str = "field_vanished";

/// Receipts of one transaction.
const BATCH_RECEIPTS: i64 = 16_000;
/// Bytes of bodies after which a batch takes no more receipts: a thousand usual payloads are two thirds of this, one of
/// the largest accepted records is a batch of its own. Two batches lie in memory, one on its way to the database.
const BATCH_BYTES: usize = 32 << 20;
/// From this many records of a batch on, and this share of it, the same failure is a drift of the source's
/// schema: one incident, not a thousand rejects.
const DRIFT_MIN_RECORDS: i64 = 20;
const DRIFT_SHARE_PCT: i64 = 20;
/// A field known in at least this share of the previous batch and in less than [`DRIFT_SHARE_PCT`] of this one.
const KNOWN_BEFORE_PCT: i64 = 80;
/// Deliveries before this one that show whether variants of one actor take turns: they differ in their fields, and none
/// of them loses any.
const DELIVERIES_OF_TURNS: usize = 10;

#[derive(Clone, Debug)]
pub struct Options {
    pub run_id: String,
    /// Null: what is new. Else everything observed since then, read again.
    pub replay_since: Option<Timestamp>,
    pub zone: ReportingZone,
    /// Sources, most trusted first.
    pub precedence: Vec<String>,
    /// Percent of the records that may be rejected before the run counts as partly failed.
    pub tolerate_failed_pct: f64,
    /// Who hears of incidents.
    pub audience: Audience,
}

impl Options {
    fn unread(&self) -> Unread {
        self.replay_since.map_or(Unread::New, Unread::Since)
    }
}

/// What a run read and what it changed.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    pub receipts: u64,
    /// Observations whose content is new or differs from the stored one.
    pub observations: u64,
    pub reviews: u64,
    pub not_found: u64,
    /// New quarantine rows.
    pub quarantined: u64,
    /// Rows that stay in quarantine: what they are about was read again, and refused again.
    pub refused_again: u64,
    /// Daily rows written or removed.
    pub days_changed: u64,
    /// What each new incident says.
    pub incidents: Vec<String>,
    pub cancelled: bool,
    /// Records behind the new quarantine rows: one that breaks two rules has two of them.
    #[serde(skip)]
    rejected: u64,
    #[serde(skip)]
    tolerate_failed_pct: f64,
}

impl Summary {
    /// Partly failed on more new rejects than tolerated, and on every incident.
    pub fn outcome(&self) -> Outcome {
        let too_many = exceeds_tolerance(self.rejected, self.receipts, self.tolerate_failed_pct);
        if too_many || !self.incidents.is_empty() { Outcome::PartlyFailed } else { Outcome::Done }
    }
}

/// Reads receipts batch by batch until none is left or the run is cancelled; `progress` is told how many were read.
#[tracing::instrument(name = "stage", level = "error", skip_all, fields(operation = "normalize"))]
pub async fn run(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    progress: &(dyn Fn(u64) + Send + Sync),
    options: &Options,
) -> anyhow::Result<Summary> {
    let daily = |day, seen: &[_]| choose_daily_row(day, seen, &options.precedence);
    let derive = Derive {
        daily: &daily,
        versions: &cut_versions,
        adds_nothing: &adds_nothing,
        precedence: &options.precedence,
    };
    let mut summary = Summary { tolerate_failed_pct: options.tolerate_failed_pct, ..Summary::default() };
    let whole = Stopwatch::start();
    let mut next = read_batch(store, clock, options, 0).await?;
    while let Some(ReadBatch { batch, until, now, watch }) = next {
        if cancel.is_cancelled() {
            summary.cancelled = true;
            break;
        }
        failpoint!("normalize.before_commit");
        // While the database takes a batch, the next one is read.
        let (effect, following) = tokio::join!(
            store.commit_normalized(&options.run_id, now, &batch, &derive),
            read_batch(store, clock, options, until)
        );
        let effect = effect.with_context(|| format!("failed to save the facts of receipts up to {until}"))?;
        failpoint!("normalize.after_commit");
        log_batch(&batch, &effect, watch);

        let count = batch.receipts.len() as u64;
        summary.receipts += count;
        summary.observations += effect.observations_written;
        summary.days_changed += effect.days_changed;
        summary.quarantined += effect.quarantined;
        summary.refused_again += effect.refused_again;
        // A receipt of many items counts once, also where some of its items were accepted.
        let refused: BTreeSet<i64> = batch.quarantine.iter().map(|row| row.receipt_id).collect();
        summary.rejected += effect.quarantined.min(refused.len() as u64);
        summary.reviews += batch.reviews.len() as u64;
        summary.not_found += batch.observations.iter().filter(|new| !new.observation.found).count() as u64;
        progress(count);
        next = following?;
    }
    if !summary.cancelled {
        summary.incidents = watch_for_drift(store, clock, options).await?;
    }
    let Summary { receipts: records, observations, days_changed, quarantined, .. } = summary;
    let duration_ms = whole.elapsed_ms();
    tracing::info!(records, observations, days_changed, quarantined, duration_ms, "receipts normalized");
    Ok(summary)
}

/// What a run would read, and what is in it: parsed, and nothing written.
///
/// Counts every observation and reject that was parsed, also those a run would find stored already.
pub async fn preview(
    store: &Store,
    clock: Clock,
    cancel: &CancelToken,
    options: &Options,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut until = 0;
    while !cancel.is_cancelled() {
        let Some(read) = read_batch(store, clock, options, until).await? else { return Ok(summary) };
        until = read.until;
        summary.receipts += read.batch.receipts.len() as u64;
        summary.observations += read.batch.observations.len() as u64;
        summary.reviews += read.batch.reviews.len() as u64;
        summary.quarantined += read.batch.quarantine.len() as u64;
    }
    summary.cancelled = true;
    Ok(summary)
}

/// What some receipts say.
struct ReadBatch {
    batch: NormalizedBatch,
    /// The last receipt.
    until: i64,
    now: Timestamp,
    /// Since its receipts were asked for.
    watch: Stopwatch,
}

/// Loads the receipts behind `after` and parses them; null when there are none.
async fn read_batch(
    store: &Store,
    clock: Clock,
    options: &Options,
    after: i64,
) -> anyhow::Result<Option<ReadBatch>> {
    let watch = Stopwatch::start();
    let unread = options.unread();
    let stored = store
        .load_unread(unread, after, BATCH_RECEIPTS, BATCH_BYTES)
        .await
        .context("failed to load receipts")?;
    let Some(until) = stored.last().map(StoredRecord::receipt_id) else { return Ok(None) };
    let (zone, now) = (options.zone, clock.now());
    // What is logged of single records names the stage too.
    let stage = tracing::Span::current();
    let normalized = move || -> anyhow::Result<NormalizedBatch> {
        let records: Result<Vec<RawRecord>, _> = stored.into_par_iter().map(StoredRecord::unpack).collect();
        let records = records.context("failed to load receipts")?;
        Ok(stage.in_scope(|| normalize_batch(&records, zone, now)))
    };
    let mut batch =
        tokio::task::spawn_blocking(normalized).await.context("failed to parse a batch of receipts")??;
    batch.normalized_until = (unread == Unread::New).then_some(until);
    Ok(Some(ReadBatch { batch, until, now, watch }))
}

fn log_batch(batch: &NormalizedBatch, effect: &BatchEffect, watch: Stopwatch) {
    let &BatchEffect { observations_written: observations, days_changed, quarantined, .. } = effect;
    let observed = batch.observations.iter().map(|new| new.source.as_str());
    let sources: BTreeSet<&str> =
        observed.chain(batch.quarantine.iter().map(|new| new.source.as_str())).collect();
    let (source, records) = (Vec::from_iter(sources).join(","), batch.receipts.len());
    let duration_ms = watch.elapsed_ms();
    tracing::info!(source, records, observations, days_changed, quarantined, duration_ms, "batch normalized");
    if quarantined > 0 {
        tracing::warn!(quarantined, "records new in quarantine");
    }
    for reject in &batch.quarantine {
        let NewQuarantine { source, marketplace, asin, reason, field, .. } = reject;
        tracing::debug!(source, marketplace, asin, reason, field, "record rejected");
    }
}

/// How many receipts a run with these options would read.
pub async fn count(store: &Store, options: &Options) -> anyhow::Result<u64> {
    store.count_unread(options.unread()).await.context("failed to count receipts")
}

/// Queues receipts for the next normalize run, for `quarantine retry`.
pub async fn retry(store: &Store, receipt_ids: &[i64]) -> anyhow::Result<u64> {
    Ok(store.forget_normalized(receipt_ids).await?)
}

fn cut_versions(
    source: &str,
    before: Option<ListingVersion>,
    shown: &[(Timestamp, Listing)],
) -> Vec<ListingVersion> {
    let shown: Vec<SourceListing<'_>> = shown
        .iter()
        .map(|(observed_at, listing)| SourceListing { observed_at: *observed_at, listing })
        .collect();
    listing_versions(source, before, &shown)
}

/// Parses on all cores; the order of the receipts is kept.
fn normalize_batch(records: &[RawRecord], zone: ReportingZone, now: Timestamp) -> NormalizedBatch {
    let read: Vec<ReadRecord> = records.par_iter().map(|record| read_record(record, zone, now)).collect();
    let mut batch = NormalizedBatch::default();
    for (record, ReadRecord { outcome, observations, parsed }) in records.iter().zip(read) {
        for Note { field, detail, .. } in &parsed.notes {
            let RawRecord { source, marketplace, asin_requested: asin, .. } = record;
            tracing::debug!(source, marketplace, asin, field, detail, "odd value read");
        }
        batch.receipts.push((record.receipt_id, outcome));
        batch.observations.extend(observations);
        let reviews = parsed.reviews.into_iter();
        batch.reviews.extend(reviews.map(|review| (review, record.source.clone(), record.observed_at)));
        batch.quarantine.extend(parsed.rejects.into_iter().map(|reject| quarantined(record, reject)));
    }
    batch
}

/// What one receipt says.
struct ReadRecord {
    outcome: ReceiptOutcome,
    observations: Vec<NewObservation>,
    /// The rest.
    parsed: Parsed,
}

fn read_record(record: &RawRecord, zone: ReportingZone, now: Timestamp) -> ReadRecord {
    let mut parsed = parse_record(record, zone, now);
    let outcome = receipt_outcome(&parsed);
    let source = shape_of(record).observed_source(&record.source);
    let observations = parsed.take_observations().map(|(place, observation)| {
        let observed_at = place.observed_at.unwrap_or(record.observed_at);
        NewObservation {
            receipt_id: record.receipt_id,
            item: i64::from(place.item),
            day: zone.day_of(observed_at),
            observed_at,
            fetched_at: record.fetched_at,
            source: source.to_owned(),
            body_sha256: record.body_sha256.clone(),
            content_hash: content_hash(&observation.listing),
            observation,
        }
    });
    ReadRecord { outcome, observations: observations.collect(), parsed }
}

fn shape_of(record: &RawRecord) -> Shape {
    Shape::from_word(&record.shape).unwrap_or(Shape::UnknownJson).of_kind(&record.kind)
}

fn parse_record(record: &RawRecord, zone: ReportingZone, now: Timestamp) -> Parsed {
    let history = AskedDays { ranges: record.asked_days.clone(), zone };
    let context = RecordContext {
        shape: shape_of(record),
        marketplace: record.marketplace.parse::<Marketplace>().ok(),
        asin_requested: record.asin_requested.parse().ok(),
        observed_at: record.observed_at,
        now,
        history: (!history.ranges.is_empty()).then_some(history),
    };
    parse(&context, &record.body)
}

fn receipt_outcome(parsed: &Parsed) -> ReceiptOutcome {
    if parsed.observations.iter().any(|observation| observation.found) {
        ReceiptOutcome::Observed
    } else if !parsed.observations.is_empty() {
        ReceiptOutcome::NotFound
    } else if !parsed.reviews.is_empty() {
        ReceiptOutcome::Reviewed
    } else if parsed.kept && parsed.rejects.is_empty() {
        ReceiptOutcome::Kept
    } else {
        ReceiptOutcome::Quarantined
    }
}

fn quarantined(record: &RawRecord, reject: Reject) -> NewQuarantine {
    let reason = reject.reason.as_str().to_owned();
    let observed_at = record.observed_at.timestamp_micros().to_string();
    let item = reject.item.to_string();
    let id_parts = [
        "normalize",
        &record.source,
        &record.kind,
        &record.marketplace,
        &record.asin_requested,
        &observed_at,
        &record.body_sha256,
        &item,
        &reason,
        &reject.field,
    ];
    NewQuarantine {
        quarantine_id: stable_id(&id_parts),
        reason,
        source: record.source.clone(),
        marketplace: reject.marketplace.map_or_else(|| record.marketplace.clone(), |known| known.to_string()),
        asin: reject.asin.map_or_else(|| record.asin_requested.clone(), |known| known.to_string()),
        receipt_id: record.receipt_id,
        item: i64::from(reject.item),
        body_sha256: record.body_sha256.clone(),
        file_path: record.file_path.clone(),
        file_line: record.file_line,
        file_offset: record.file_offset,
        field: reject.field,
        detail: reject.detail,
    }
}

/// Looks at each delivery (file or provider job) that was not looked at yet, once all of it is normalized.
///
/// An incident is derived from the delivery alone and from those before it, so a killed run that is started again
/// finds the same ones.
async fn watch_for_drift(store: &Store, clock: Clock, options: &Options) -> anyhow::Result<Vec<String>> {
    let deliveries = store.load_unwatched_deliveries().await.context("failed to load deliveries")?;
    let Some(last_receipt) = deliveries.iter().map(|delivery| delivery.last_receipt).max() else {
        return Ok(Vec::new());
    };
    let (mut incidents, mut recoveries) = (Vec::new(), Vec::new());
    let open = store.load_open_incidents().await.context("failed to load open incidents")?;
    for delivery in &deliveries {
        recoveries.extend(recovered(delivery, &open, options.zone));
        incidents.extend(failing(delivery, options.zone));
        for field in vanished(delivery) {
            if !takes_turns(store, delivery, field).await? {
                incidents.push(vanished_incident(delivery, field, options.zone));
            }
        }
    }
    failpoint!("normalize.before_incidents");
    // All of them at once: one file may hold deliveries whose receipts lie between each other's.
    let new = store
        .commit_incidents(
            &options.run_id,
            clock.now(),
            last_receipt,
            &incidents,
            &recoveries,
            &options.audience,
        )
        .await
        .context("failed to save incidents")?;
    for incident in incidents.iter().filter(|incident| new.contains(&incident.detail)) {
        let NewIncident { source, field, reason, .. } = incident;
        tracing::warn!(source, field, reason, "incident: {}", incident.detail);
    }
    Ok(new)
}

/// What a delivery of a later day says of open incidents of its source: the field is there again, the records are read.
fn recovered(
    delivery: &Delivery,
    open: &[IncidentFacts],
    zone: ReportingZone,
) -> impl Iterator<Item = Recovery> {
    let day = delivery.day(zone);
    let is_well = move |incident: &&IncidentFacts| {
        let is_of_it = incident.kind == SCHEMA_DRIFT && incident.source == delivery.source;
        let is_over = match incident.reason.as_str() {
            FIELD_VANISHED => {
                delivery.observed >= DRIFT_MIN_RECORDS
                    && delivery.fields.iter().any(|field| {
                        field.name == incident.field && !is_lacking(field.known, delivery.observed)
                    })
            }
            _ => {
                delivery.records >= DRIFT_MIN_RECORDS
                    && !delivery.failures.iter().any(|failure| {
                        failure.field == incident.field
                            && failure.reason == incident.reason
                            && is_drift(failure, delivery)
                    })
            }
        };
        is_of_it && incident.day < day && is_over
    };
    open.iter().filter(is_well).map(move |incident| Recovery {
        kind: SCHEMA_DRIFT,
        source: incident.source.clone(),
        field: incident.field.clone(),
        reason: incident.reason.clone(),
        day,
    })
}

fn is_drift(failure: &Failure, delivery: &Delivery) -> bool {
    // A file of another data set is no product file gone wrong.
    failure.reason != RejectReason::LaterDataSet.as_str()
        && failure.records >= DRIFT_MIN_RECORDS
        && failure.records * 100 >= DRIFT_SHARE_PCT * delivery.records
}

/// Failures of one delivery that are no longer a matter of single records.
fn failing(delivery: &Delivery, zone: ReportingZone) -> impl Iterator<Item = NewIncident> {
    delivery.failures.iter().filter(|failure| is_drift(failure, delivery)).map(move |failure| {
        let what = if failure.field.is_empty() { "the record" } else { failure.field.as_str() };
        let detail = format!(
            "{} of {} records of {} fail on {what}: {}",
            failure.records, delivery.records, delivery.name, failure.reason
        );
        incident(delivery, &failure.field, &failure.reason, detail, zone)
    })
}

/// The fields that nearly all of the delivery before knew and nearly none of this one knows.
fn vanished(delivery: &Delivery) -> impl Iterator<Item = &FieldKnown> {
    // Over what was accepted: a delivery that fails on one field has not lost all the others.
    let enough = delivery.observed >= DRIFT_MIN_RECORDS && delivery.observed_before >= DRIFT_MIN_RECORDS;
    delivery.fields.iter().filter(move |field| {
        let before = field.known_before * 100 >= KNOWN_BEFORE_PCT * delivery.observed_before;
        enough && before && is_lacking(field.known, delivery.observed)
    })
}

fn is_lacking(known: i64, observed: i64) -> bool {
    known * 100 < DRIFT_SHARE_PCT * observed
}

/// True when the deliveries before this one had the field and lacked it in turns: at least twice each.
async fn takes_turns(store: &Store, delivery: &Delivery, field: &FieldKnown) -> anyhow::Result<bool> {
    let before = store
        .load_known_before(delivery, field.name, DELIVERIES_OF_TURNS)
        .await
        .context("failed to load the deliveries before")?;
    let large = before.into_iter().filter(|(_, observed)| *observed >= DRIFT_MIN_RECORDS);
    let lacked: Vec<bool> = large.map(|(known, observed)| is_lacking(known, observed)).collect();
    Ok(lacked.windows(2).filter(|pair| !pair[0] && pair[1]).count() >= 2)
}

fn vanished_incident(delivery: &Delivery, field: &FieldKnown, zone: ReportingZone) -> NewIncident {
    let detail = format!(
        "{} is known in {} of {} records of {}, in the delivery before in {} of {}",
        field.name,
        field.known,
        delivery.observed,
        delivery.name,
        field.known_before,
        delivery.observed_before
    );
    incident(delivery, field.name, FIELD_VANISHED, detail, zone)
}

/// Named by the read: files of different days often have the same name, and the same file may fail on two days.
fn incident(
    delivery: &Delivery,
    field: &str,
    reason: &str,
    detail: String,
    zone: ReportingZone,
) -> NewIncident {
    let Delivery { id, source, shape, .. } = delivery;
    NewIncident {
        incident_id: stable_id(&[SCHEMA_DRIFT, source, shape, field, reason, id]),
        kind: SCHEMA_DRIFT,
        source: source.clone(),
        field: field.to_owned(),
        reason: reason.to_owned(),
        detail,
        day: delivery.day(zone),
    }
}
