//! Deliveries (files, provider jobs) as wholes: how many of their records failed on what, which fields they knew.

use std::collections::HashMap;

use super::alerts::AMZCTL;
use super::columns::{instant, to_json};
use super::db::{query, query_of, query_scalar_of};
use super::ops::set_mark;
use super::outbox::{Audience, incident_opened, tell};
use super::{Result, Store, Tx};
use crate::model::{Day, HISTORY_SOURCE, ReportingZone, Timestamp};

/// The mark up to which receipts have been looked at as parts of deliveries.
pub(super) const WATCHED: &str = "drift_watched";

/// What tells the delivery of a receipt `r`.
const DELIVERY: &str = "COALESCE(r.job_id, r.file_sha256, '')";

/// The fields whose sudden absence is a drift, with their place in an observation's facts.
const FIELDS: [(&str, &str); 7] = [
    ("price", "$.offer.price_minor"),
    ("list_price", "$.offer.list_price_minor"),
    ("seller", "$.offer.seller_name"),
    ("bsr", "$.rank.ranks[0]"),
    ("rating", "$.rating.rating_centi"),
    ("ratings_count", "$.rating.ratings_count"),
    ("monthly_sold", "$.monthly_sold_min"),
];

/// One read of one file with one set of options, of one source and shape; completely normalized.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The read's id: the same file with another time is another delivery. Without one, the file's content hash.
    pub id: String,
    /// The file's name, or the read's id.
    pub name: String,
    pub source: String,
    pub shape: String,
    pub records: i64,
    pub first_receipt: i64,
    pub last_receipt: i64,
    pub observed_at: Timestamp,
    pub failures: Vec<Failure>,
    pub fields: Vec<FieldKnown>,
    /// Observations it gave, and the delivery before it: fields are counted over these.
    pub observed: i64,
    pub observed_before: i64,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub field: String,
    pub reason: String,
    pub records: i64,
}

#[derive(Clone, Debug)]
pub struct FieldKnown {
    pub name: &'static str,
    pub known: i64,
    pub known_before: i64,
}

/// How many observations a delivery gave, and how many of them know each of [`FIELDS`].
struct Known {
    records: i64,
    fields: Vec<i64>,
}

/// Something about a source that people must look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewIncident {
    pub incident_id: String,
    pub kind: &'static str,
    pub source: String,
    pub field: String,
    pub reason: String,
    pub detail: String,
    pub day: Day,
}

/// A source that is well again: its open incidents of this kind, field and reason from before the day are over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    pub kind: &'static str,
    pub source: String,
    pub field: String,
    pub reason: String,
    pub day: Day,
}

/// Closes the incidents that recoveries end.
async fn close_recovered(tx: &mut Tx, now: Timestamp, recoveries: &[Recovery]) -> Result<u64> {
    let mut closed = 0;
    for Recovery { kind, source, field, reason, day } in recoveries {
        let done = query(
            "UPDATE incidents SET state = 'closed', closed_at = $6, closed_by = $7, note = $8
             WHERE state = 'open' AND workspace = '' AND kind = $1 AND source = $2 AND field = $3 AND reason = $4
               AND day < $5",
        )
        .bind(*kind)
        .bind(source)
        .bind(field)
        .bind(reason)
        .bind(day.to_string())
        .bind(now.timestamp_micros())
        .bind(AMZCTL)
        .bind(format!("well again on {day}"))
        .execute(&mut *tx)
        .await?;
        closed += done.rows_affected();
    }
    Ok(closed)
}

/// Opens an incident and tells the audience of it; false when it was opened before.
pub(super) async fn insert_incident(
    tx: &mut Tx,
    run_id: &str,
    now: Timestamp,
    incident: &NewIncident,
    audience: &Audience,
) -> Result<bool> {
    let written = query(
        "INSERT INTO incidents (incident_id, kind, source, field, reason, detail, day, state, run_id, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9) ON CONFLICT (incident_id) DO NOTHING",
    )
    .bind(&incident.incident_id)
    .bind(incident.kind)
    .bind(&incident.source)
    .bind(&incident.field)
    .bind(&incident.reason)
    .bind(&incident.detail)
    .bind(incident.day.to_string())
    .bind(run_id)
    .bind(now.timestamp_micros())
    .execute(&mut *tx)
    .await?;
    let is_new = written.rows_affected() > 0;
    if is_new {
        tell(tx, audience, now, vec![incident_opened(&audience.workspace, incident, now)]).await?;
    }
    Ok(is_new)
}

impl Delivery {
    /// The day of its latest observation.
    pub fn day(&self, zone: ReportingZone) -> Day {
        zone.day_of(self.observed_at)
    }
}

impl Store {
    /// Deliveries whose receipts lie above the mark, oldest first, with their failures and fields.
    pub async fn load_unwatched_deliveries(&self) -> Result<Vec<Delivery>> {
        let rows = query_of(format!(
            "SELECT {DELIVERY} AS id, MIN(COALESCE(r.file_path, r.job_id, '')) AS name, r.source, r.shape,
               COUNT(*) AS records, MIN(r.receipt_id) AS first_receipt, MAX(r.receipt_id) AS last_receipt,
               MAX(r.observed_at) AS observed_at
             FROM raw_receipts r WHERE r.receipt_id > $1
             GROUP BY id, r.source, r.shape ORDER BY last_receipt"
        ))
        .bind(self.mark(WATCHED).await?)
        .fetch_all(self.reader())
        .await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        // What the delivery before knew, by source and shape: each delivery is counted once.
        let mut before: HashMap<(String, String), Option<Known>> = HashMap::new();
        for row in &rows {
            let path: String = row.try_get("name")?;
            let first_receipt: i64 = row.try_get("first_receipt")?;
            let mut delivery = Delivery {
                id: row.try_get("id")?,
                name: path.rsplit('/').next().unwrap_or_default().to_owned(),
                source: row.try_get("source")?,
                shape: row.try_get("shape")?,
                records: row.try_get("records")?,
                first_receipt,
                last_receipt: row.try_get("last_receipt")?,
                observed_at: instant(row, "raw_receipts", "observed_at")?,
                failures: Vec::new(),
                fields: Vec::new(),
                observed: 0,
                observed_before: 0,
            };
            delivery.records += self.further_items(&delivery).await?;
            delivery.failures = self.failures_of(&delivery, first_receipt).await?;
            let kind = (delivery.source.clone(), delivery.shape.clone());
            let previous = match before.remove(&kind) {
                Some(known) => known,
                None => self.known_before(&delivery, first_receipt).await?.map(|(known, _)| known),
            };
            let last_receipt = delivery.last_receipt;
            let known = self.known_fields(&delivery, &delivery.id, first_receipt, last_receipt).await?;
            delivery.observed = known.records;
            if let Some(previous) = previous {
                delivery.observed_before = previous.records;
                let counts = known.fields.iter().zip(&previous.fields);
                delivery.fields = FIELDS
                    .iter()
                    .zip(counts)
                    .map(|((name, _), (known, known_before))| FieldKnown {
                        name,
                        known: *known,
                        known_before: *known_before,
                    })
                    .collect();
            }
            before.insert(kind, Some(known));
            deliveries.push(delivery);
        }
        Ok(deliveries)
    }

    /// How many items the delivery's receipts hold beside their first: the pages of a batch are records of their own.
    async fn further_items(&self, delivery: &Delivery) -> Result<i64> {
        let items = query_scalar_of(format!(
            "SELECT COUNT(*) FROM (
               SELECT receipt_id, item FROM observations
               WHERE receipt_id BETWEEN $1 AND $2 AND item > 0 AND is_current = 1
               UNION
               SELECT receipt_id, item FROM quarantine
               WHERE stage = 'normalize' AND receipt_id BETWEEN $1 AND $2 AND item > 0
             ) i JOIN raw_receipts r ON r.receipt_id = i.receipt_id
             WHERE r.source = $3 AND r.shape = $4 AND {DELIVERY} = $5"
        ))
        .bind(delivery.first_receipt)
        .bind(delivery.last_receipt)
        .bind(&delivery.source)
        .bind(&delivery.shape)
        .bind(&delivery.id)
        .fetch_one(self.reader())
        .await?;
        Ok(items)
    }

    /// The range of receipts bounds the search; other deliveries may lie in it.
    async fn failures_of(&self, delivery: &Delivery, first_receipt: i64) -> Result<Vec<Failure>> {
        let rows = query_of(format!(
            "SELECT q.field, q.reason, COUNT(DISTINCT q.receipt_id || ' ' || q.item) AS records FROM quarantine q
             JOIN raw_receipts r ON r.receipt_id = q.receipt_id
             WHERE q.stage = 'normalize' AND q.receipt_id BETWEEN $1 AND $2 AND r.source = $3 AND r.shape = $4
               AND {DELIVERY} = $5
             GROUP BY q.field, q.reason ORDER BY q.field, q.reason"
        ))
        .bind(first_receipt)
        .bind(delivery.last_receipt)
        .bind(&delivery.source)
        .bind(&delivery.shape)
        .bind(&delivery.id)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Failure {
                    field: row.try_get("field")?,
                    reason: row.try_get("reason")?,
                    records: row.try_get("records")?,
                })
            })
            .collect()
    }

    /// How many observations of each of the newest `limit` deliveries before this one, of its source and shape, know
    /// the field, and how many there are; the newest delivery first.
    pub async fn load_known_before(
        &self,
        delivery: &Delivery,
        field: &str,
        limit: usize,
    ) -> Result<Vec<(i64, i64)>> {
        let place = FIELDS.iter().position(|(name, _)| *name == field);
        let mut found = Vec::new();
        let mut before = delivery.first_receipt;
        while found.len() < limit
            && let Some((known, first)) = self.known_before(delivery, before).await?
        {
            let known_field = place.and_then(|place| known.fields.get(place)).copied();
            found.push((known_field.unwrap_or(0), known.records));
            before = first;
        }
        Ok(found)
    }

    /// The newest delivery of the same source and shape before the receipt, and where its receipts begin; null when
    /// there is none.
    ///
    /// Its receipts are looked for backwards from the last one, up to those of another delivery: what was read of it
    /// before another file came between is left out.
    async fn known_before(&self, delivery: &Delivery, first_receipt: i64) -> Result<Option<(Known, i64)>> {
        let last = query_of(format!(
            "SELECT r.receipt_id, {DELIVERY} AS id FROM raw_receipts r
             WHERE r.receipt_id < $3 AND r.source = $1 AND r.shape = $2 ORDER BY r.receipt_id DESC LIMIT 1"
        ))
        .bind(&delivery.source)
        .bind(&delivery.shape)
        .bind(first_receipt)
        .fetch_optional(self.reader())
        .await?;
        let Some(last) = last else { return Ok(None) };
        let (last, id): (i64, String) = (last.try_get("receipt_id")?, last.try_get("id")?);
        let other: Option<i64> = query_scalar_of(format!(
            "SELECT r.receipt_id FROM raw_receipts r
             WHERE r.receipt_id < $1 AND {DELIVERY} <> $2 ORDER BY r.receipt_id DESC LIMIT 1"
        ))
        .bind(last)
        .bind(&id)
        .fetch_optional(self.reader())
        .await?;
        let first = other.map_or(0, |other| other + 1);
        Ok(Some((self.known_fields(delivery, &id, first, last).await?, first)))
    }

    /// Counted in one pass over the receipts from `first` to `last`: those of the delivery `id` that have the source
    /// and shape of `kind`. Days of a history are left out: which fields they know depends on the days asked for.
    async fn known_fields(&self, kind: &Delivery, id: &str, first: i64, last: i64) -> Result<Known> {
        let counts = FIELDS.map(|(_, path)| format!("COUNT(json_extract(o.facts, '{path}'))")).join(", ");
        let sql = format!(
            "SELECT COUNT(*), {counts} FROM observations o
             JOIN raw_receipts r ON r.receipt_id = o.receipt_id
             WHERE o.receipt_id BETWEEN $1 AND $2 AND o.found = 1 AND o.is_current = 1
               AND r.source = $3 AND r.shape = $4 AND {DELIVERY} = $5 AND o.source <> $6"
        );
        let row = query_of(sql)
            .bind(first)
            .bind(last)
            .bind(&kind.source)
            .bind(&kind.shape)
            .bind(id)
            .bind(HISTORY_SOURCE)
            .fetch_one(self.reader())
            .await?;
        let fields = (1..=FIELDS.len()).map(|column| Ok(row.try_get(column)?)).collect::<Result<_>>()?;
        Ok(Known { records: row.try_get(0)?, fields })
    }

    /// Writes what was found about deliveries, tells the audience, closes what is over, and marks receipts up to `last_receipt`
    /// watched, in one transaction; answers the new incidents.
    pub async fn commit_incidents(
        &self,
        run_id: &str,
        now: Timestamp,
        last_receipt: i64,
        incidents: &[NewIncident],
        recoveries: &[Recovery],
        audience: &Audience,
    ) -> Result<Vec<String>> {
        let mut tx = self.begin().await?;
        let mut new = Vec::new();
        for incident in incidents {
            if insert_incident(&mut tx, run_id, now, incident, audience).await? {
                new.push(incident.detail.clone());
            }
        }
        close_recovered(&mut tx, now, recoveries).await?;
        set_mark(&mut tx, WATCHED, last_receipt).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// Closes incidents of sources that are well again; answers how many there were.
    pub async fn close_incidents(&self, now: Timestamp, recoveries: &[Recovery]) -> Result<u64> {
        if recoveries.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin_briefly().await?;
        let closed = close_recovered(&mut tx, now, recoveries).await?;
        tx.commit().await?;
        Ok(closed)
    }

    /// Makes normalize read these receipts again.
    pub async fn forget_normalized(&self, receipt_ids: &[i64]) -> Result<u64> {
        let mut tx = self.begin().await?;
        let forgotten = forget(&mut tx, receipt_ids).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

/// Takes back that these receipts were read; answers how many were.
pub(super) async fn forget(tx: &mut Tx, receipt_ids: &[i64]) -> Result<u64> {
    let forgotten =
        query("DELETE FROM normalized_receipts WHERE receipt_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
            .bind(to_json(&receipt_ids))
            .execute(tx)
            .await?;
    if let Some(first) = receipt_ids.iter().min() {
        query("UPDATE marks SET value = $1 WHERE value > $1 AND name LIKE 'normalized_until_v%'")
            .bind(first - 1)
            .execute(tx)
            .await?;
    }
    Ok(forgotten.rows_affected())
}
