//! What is dropped once it is old enough, layer by layer, in transactions of bounded size.
//!
//! A receipt leaves its identity behind: what was taken in once is not taken in again. Nothing that is derived from it
//! changes. Facts of core are never dropped here.

use std::collections::BTreeSet;

use super::columns::{at, instant, parsed, to_json};
use super::db::{Bind, Database, Row, bulk, query, query_scalar, query_scalar_of};
use super::drift::WATCHED;
use super::ops::set_mark;
use super::raw::ReceiptKey;
use super::{Result, Store, Tx};
use crate::failpoint;
use crate::ids::stable_id;
use crate::model::{Day, Timestamp};
use crate::normalize::NORMALIZER_VERSION;
use crate::rollup::rules::Rule;

/// Rows of one transaction: receipts, alerts, requests, readings.
const BATCH: i64 = 2_000;
/// The observation of the newest receipt that was dropped: only what is as old can be one that was.
const DROPPED_UNTIL: &str = "raw_dropped_until";

/// What a layer has to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Droppable {
    pub rows: i64,
    /// Of stored content; null where rows are all there is.
    pub bytes: Option<i64>,
    /// The oldest day of what stays; null where nothing does.
    pub oldest_kept: Option<Day>,
}

/// What one transaction dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DroppedBatch {
    pub rows: i64,
    pub bytes: i64,
    /// Where the next batch goes on; null after the last.
    pub next: Option<i64>,
}

/// Receipts `r`, read as `n`, that retention may drop: observed and landed before `$1`, up to the one that deliveries were
/// watched to (`$2`), read by the normalizer of version `$3`, not asked for days of the past (they say what is paid for),
/// not merely kept (their content lies nowhere else), and none of whose records waits for somebody.
macro_rules! old_receipts {
    () => {
        "raw_receipts r JOIN normalized_receipts n ON n.receipt_id = r.receipt_id
         WHERE r.observed_at < $1 AND r.recorded_at < $1 AND r.receipt_id <= $2 AND r.kind <> 'history'
           AND n.normalizer_version = $3 AND n.outcome <> 'kept'
           AND r.receipt_id NOT IN (SELECT q.receipt_id FROM quarantine q WHERE q.state = 'open' AND q.receipt_id IS NOT NULL)"
    };
}

/// Bodies that a quarantined record still names.
macro_rules! bodies_waiting {
    () => {
        "(SELECT q.body_sha256 FROM quarantine q WHERE q.state = 'open' AND q.body_sha256 IS NOT NULL)"
    };
}

/// Alerts `a` of days before `$1`; the rules in `$2` tell of the present.
macro_rules! old_alerts {
    () => {
        "alerts a WHERE a.day < $1 AND (a.state IN ('resolved', 'dismissed') OR a.historical = 1 AND a.state = 'open')
           AND a.rule NOT IN (SELECT value FROM json_each($2))
           AND NOT EXISTS (SELECT 1 FROM outbox_events e JOIN deliveries d ON d.event_id = e.event_id
             WHERE e.alert_id = a.alert_id AND d.state IN ('pending', 'claimed'))"
    };
}
/// Events `e` that belong to no alert, from before `$1`.
macro_rules! old_events {
    () => {
        "outbox_events e WHERE e.alert_id = '' AND e.created_at < $1
           AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.event_id AND d.state IN ('pending', 'claimed'))"
    };
}

/// Held findings `h` of days before `$1` that are decided.
macro_rules! old_held {
    () => {
        "held_findings h WHERE h.day < $1 AND h.state <> 'held'"
    };
}

/// Incidents `i` of the quality gate of days before `$1` that are closed and of which no finding is left.
macro_rules! old_gates {
    () => {
        "incidents i WHERE i.day < $1 AND i.kind = 'gate' AND i.state = 'closed'
           AND NOT EXISTS (SELECT 1 FROM held_findings h WHERE h.incident_id = i.incident_id)"
    };
}

/// Runs `u` that began before `$1`. One that was killed has no end, and is over all the same.
macro_rules! old_runs {
    () => {
        "runs u WHERE u.started_at < $1 AND NOT EXISTS (SELECT 1 FROM source_requests q WHERE q.run_id = u.run_id)"
    };
}
impl Store {
    /// The receipts that would be dropped with the bodies that no other names: observed and landed before `before`.
    pub async fn count_old_raw(&self, before: Timestamp) -> Result<Droppable> {
        let watched = self.mark(WATCHED).await?;
        let row = query(concat!(
            "WITH old AS (SELECT r.receipt_id, r.body_sha256 FROM ",
            old_receipts!(),
            ")
             SELECT (SELECT COUNT(*) FROM old) AS droppable,
               (SELECT MIN(k.observed_at) FROM raw_receipts k WHERE k.receipt_id NOT IN (SELECT receipt_id FROM old)) AS oldest,
               (SELECT CAST(COALESCE(SUM(LENGTH(b.bytes)), 0) AS BIGINT) FROM raw_bodies b
                WHERE b.sha256 IN (SELECT body_sha256 FROM old)
                  AND b.sha256 NOT IN (SELECT k.body_sha256 FROM raw_receipts k
                                       WHERE k.receipt_id NOT IN (SELECT receipt_id FROM old))
                  AND b.sha256 NOT IN ",
            bodies_waiting!(),
            ") AS bytes"
        ))
        .bind(before.timestamp_micros())
        .bind(watched)
        .bind(NORMALIZER_VERSION)
        .fetch_one(self.reader())
        .await?;
        let oldest: Option<i64> = row.try_get("oldest")?;
        let oldest = oldest.map(|micros| at(micros, "raw_receipts", "observed_at")).transpose()?;
        Ok(Droppable {
            rows: row.try_get("droppable")?,
            bytes: Some(row.try_get("bytes")?),
            oldest_kept: oldest.map(|at| Day::from(at.date_naive())),
        })
    }

    /// Drops the next old receipts behind `after`, and the bodies that no other names.
    ///
    /// The grant that the triggers ask for is written, used and closed in the same transaction.
    pub async fn drop_old_raw(
        &self,
        before: Timestamp,
        after: i64,
        now: Timestamp,
        reason: &str,
    ) -> Result<DroppedBatch> {
        let watched = self.mark(WATCHED).await?;
        let mut tx = self.begin().await?;
        let rows = query(concat!(
            "SELECT r.receipt_id, r.source, r.kind, r.marketplace, r.asin_requested, r.observed_at, r.body_sha256 FROM ",
            old_receipts!(),
            " AND r.receipt_id > $4 ORDER BY r.receipt_id LIMIT $5"
        ))
        .bind(before.timestamp_micros())
        .bind(watched)
        .bind(NORMALIZER_VERSION)
        .bind(after)
        .bind(BATCH)
        .fetch_all(&mut tx)
        .await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.try_get("receipt_id")).collect::<sqlx::Result<_>>()?;
        let keys: Vec<ReceiptKey> = rows.iter().map(receipt_key).collect::<Result<_>>()?;
        let (Some(last), Some(newest)) = (ids.last(), keys.iter().map(|key| key.observed_at).max()) else {
            return Ok(DroppedBatch::default());
        };
        for table in ["raw_receipts", "raw_bodies"] {
            query("INSERT INTO retention_grants (table_name, granted_at, reason) VALUES ($1, $2, $3)")
                .bind(table)
                .bind(now.timestamp_micros())
                .bind(reason)
                .execute(&mut tx)
                .await?;
        }
        bulk::insert(
            &mut tx,
            "dropped_receipts (identity)",
            " ON CONFLICT (identity) DO NOTHING",
            &keys,
            |values, key| {
                values.push_bind(identity(key));
            },
        )
        .await?;
        query("DELETE FROM normalized_receipts WHERE receipt_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
            .bind(to_json(&ids))
            .execute(&mut tx)
            .await?;
        query(
            "DELETE FROM raw_receipts
             WHERE observed_at <= $2 AND receipt_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
        )
        .bind(to_json(&ids))
        .bind(newest.timestamp_micros())
        .execute(&mut tx)
        .await?;
        let bodies: BTreeSet<&str> = keys.iter().map(|key| key.body_sha256.as_str()).collect();
        let sizes: Vec<i64> = query_scalar(concat!(
            "DELETE FROM raw_bodies WHERE sha256 IN (SELECT value FROM json_each($1))
               AND NOT EXISTS (SELECT 1 FROM raw_receipts r WHERE r.body_sha256 = raw_bodies.sha256)
               AND sha256 NOT IN ",
            bodies_waiting!(),
            " RETURNING CAST(LENGTH(bytes) AS BIGINT)"
        ))
        .bind(to_json(&bodies))
        .fetch_all(&mut tx)
        .await?;
        query("UPDATE retention_grants SET open = 0 WHERE open = 1").execute(&mut tx).await?;
        let until = self.mark(DROPPED_UNTIL).await?.max(newest.timestamp_micros());
        set_mark(&mut tx, DROPPED_UNTIL, until).await?;
        failpoint!("retention.before_commit");
        tx.commit().await?;
        failpoint!("retention.after_commit");
        Ok(DroppedBatch { rows: ids.len() as i64, bytes: sizes.iter().sum(), next: Some(*last) })
    }

    /// Which receipts name a body: asked for every body that is to go, and of no use otherwise. A killed run leaves it for
    /// the next one to take away.
    pub async fn index_bodies(&self, is_wanted: bool) -> Result<()> {
        let mut tx = self.begin().await?;
        let statement = match (&tx, is_wanted) {
            (Tx::Sqlite(_), true) => {
                "CREATE INDEX IF NOT EXISTS raw_receipts_by_body ON raw_receipts (body_sha256)"
            }
            (Tx::Sqlite(_), false) => "DROP INDEX IF EXISTS raw_receipts_by_body",
            (Tx::Postgres { .. }, true) => "SELECT index_bodies(1)",
            (Tx::Postgres { .. }, false) => "SELECT index_bodies(0)",
        };
        tx.run_script(statement.to_owned()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The observation of the newest receipt that retention dropped; null when it never did.
    pub async fn raw_dropped_until(&self) -> Result<Option<Timestamp>> {
        let micros = self.mark(DROPPED_UNTIL).await?;
        if micros == 0 {
            return Ok(None);
        }
        at(micros, "marks", "value").map(Some)
    }

    /// Readings of observations that a newer one replaced, of days before `before`.
    pub async fn count_old_readings(&self, before: Day) -> Result<Droppable> {
        self.counted(
            "SELECT COUNT(*) FILTER (WHERE day < $1) AS droppable, MIN(day) FILTER (WHERE day >= $1) AS oldest
             FROM observations WHERE is_current = 0",
            before,
        )
        .await
    }

    /// Drops the next of these readings, of receipts from `after` on.
    pub async fn drop_old_readings(&self, before: Day, after: i64) -> Result<DroppedBatch> {
        let mut tx = self.begin().await?;
        let rows = query(
            "SELECT receipt_id, item, normalizer_version, day FROM observations
             WHERE is_current = 0 AND day < $1 AND receipt_id >= $2 ORDER BY receipt_id LIMIT $3",
        )
        .bind(before.to_string())
        .bind(after)
        .bind(BATCH)
        .fetch_all(&mut tx)
        .await?;
        for row in &rows {
            query(
                "DELETE FROM observations
                 WHERE receipt_id = $1 AND item = $2 AND normalizer_version = $3 AND day = $4 AND is_current = 0",
            )
            .bind(row.try_get::<i64, _>("receipt_id")?)
            .bind(row.try_get::<i64, _>("item")?)
            .bind(row.try_get::<i64, _>("normalizer_version")?)
            .bind(row.try_get::<String, _>("day")?)
            .execute(&mut tx)
            .await?;
        }
        failpoint!("retention.before_commit");
        tx.commit().await?;
        let next = rows.last().map(|row| row.try_get("receipt_id")).transpose()?;
        Ok(DroppedBatch { rows: rows.len() as i64, bytes: 0, next })
    }

    /// Alerts of days before `before` that are dealt with, or were found late and never told, and of whose events no
    /// delivery is to be made any more. Those that tell of the present stay: without them they would be told again.
    /// Findings that the gate held back, when that is decided.
    pub async fn count_old_alerts(&self, before: Day) -> Result<Droppable> {
        let row = query(concat!(
            "SELECT (SELECT COUNT(*) FROM ",
            old_alerts!(),
            ") + (SELECT COUNT(*) FROM ",
            old_held!(),
            ") AS droppable, (SELECT MIN(day) FROM alerts WHERE alert_id NOT IN (SELECT a.alert_id FROM ",
            old_alerts!(),
            ")) AS oldest"
        ))
        .bind(before.to_string())
        .bind(of_the_present())
        .fetch_one(self.reader())
        .await?;
        droppable(&row)
    }

    /// Drops the next of these alerts with what was done and told about them, and of these findings with incidents that
    /// have none left.
    pub async fn drop_old_alerts(&self, before: Day) -> Result<DroppedBatch> {
        let mut tx = self.begin().await?;
        let ids: Vec<String> =
            query_scalar(concat!("SELECT a.alert_id FROM ", old_alerts!(), " ORDER BY a.alert_id LIMIT $3"))
                .bind(before.to_string())
                .bind(of_the_present())
                .bind(BATCH)
                .fetch_all(&mut tx)
                .await?;
        for statement in [
            "DELETE FROM delivery_changes WHERE event_id IN (SELECT e.event_id FROM outbox_events e
               WHERE e.alert_id IN (SELECT value FROM json_each($1)))",
            "DELETE FROM deliveries WHERE event_id IN (SELECT e.event_id FROM outbox_events e
               WHERE e.alert_id IN (SELECT value FROM json_each($1)))",
            "DELETE FROM outbox_events WHERE alert_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM alert_changes WHERE alert_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM alerts WHERE alert_id IN (SELECT value FROM json_each($1))",
        ] {
            query(statement).bind(to_json(&ids)).execute(&mut tx).await?;
        }
        let held = query(concat!(
            "DELETE FROM held_findings WHERE (workspace, incident_id, alert_id) IN (
               SELECT h.workspace, h.incident_id, h.alert_id FROM ",
            old_held!(),
            " ORDER BY h.workspace, h.incident_id, h.alert_id LIMIT $2)"
        ))
        .bind(before.to_string())
        .bind(BATCH)
        .execute(&mut tx)
        .await?;
        query(concat!(
            "DELETE FROM incidents WHERE incident_id IN (SELECT i.incident_id FROM ",
            old_gates!(),
            ")"
        ))
        .bind(before.to_string())
        .execute(&mut tx)
        .await?;
        let rows = ids.len() as i64 + held.rows_affected() as i64;
        failpoint!("retention.before_commit");
        tx.commit().await?;
        Ok(DroppedBatch { rows, bytes: 0, next: (rows > 0).then_some(0) })
    }

    /// Events of runs, reports and incidents from before `before` of which no delivery is to be made any more.
    pub async fn count_old_events(&self, before: Timestamp) -> Result<Droppable> {
        let row = query(concat!(
            "SELECT (SELECT COUNT(*) FROM ",
            old_events!(),
            ") AS droppable, CAST(NULL AS TEXT) AS oldest"
        ))
        .bind(before.timestamp_micros())
        .fetch_one(self.reader())
        .await?;
        droppable(&row)
    }

    /// Drops the next of these events.
    pub async fn drop_old_events(&self, before: Timestamp) -> Result<DroppedBatch> {
        let mut tx = self.begin().await?;
        let ids: Vec<String> =
            query_scalar(concat!("SELECT e.event_id FROM ", old_events!(), " ORDER BY e.event_id LIMIT $2"))
                .bind(before.timestamp_micros())
                .bind(BATCH)
                .fetch_all(&mut tx)
                .await?;
        for statement in [
            "DELETE FROM delivery_changes WHERE event_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM deliveries WHERE event_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM outbox_events WHERE event_id IN (SELECT value FROM json_each($1))",
        ] {
            query(statement).bind(to_json(&ids)).execute(&mut tx).await?;
        }
        failpoint!("retention.before_commit");
        tx.commit().await?;
        Ok(DroppedBatch { rows: ids.len() as i64, bytes: 0, next: (!ids.is_empty()).then_some(0) })
    }

    /// Requests to providers before `before` that were answered, failed or lost.
    pub async fn count_old_requests(&self, before: Day) -> Result<Droppable> {
        self.counted(
            "SELECT COUNT(*) FILTER (WHERE day < $1 AND state <> 'sent') AS droppable,
               MIN(day) FILTER (WHERE day >= $1 OR state = 'sent') AS oldest
             FROM source_requests",
            before,
        )
        .await
    }

    /// Drops the next of these requests.
    pub async fn drop_old_requests(&self, before: Day) -> Result<DroppedBatch> {
        self.drop_batch(
            "DELETE FROM source_requests WHERE request_id IN (
               SELECT request_id FROM source_requests WHERE day < $1 AND state <> 'sent' ORDER BY request_id LIMIT $2)",
            before.to_string(),
        )
        .await
    }

    /// Runs that began before `before` and of which no request to a provider is left in the ledger.
    pub async fn count_old_runs(&self, before: Timestamp) -> Result<Droppable> {
        let row = query(concat!(
            "SELECT (SELECT COUNT(*) FROM ",
            old_runs!(),
            ") AS droppable, CAST(NULL AS TEXT) AS oldest"
        ))
        .bind(before.timestamp_micros())
        .fetch_one(self.reader())
        .await?;
        droppable(&row)
    }

    /// Drops the next of these runs.
    pub async fn drop_old_runs(&self, before: Timestamp) -> Result<DroppedBatch> {
        self.drop_batch(
            concat!(
                "DELETE FROM runs WHERE run_id IN (SELECT u.run_id FROM ",
                old_runs!(),
                " ORDER BY u.run_id LIMIT $2)"
            ),
            before.timestamp_micros(),
        )
        .await
    }

    /// Drops a month of a server's table that holds nothing; false when it holds something after all.
    pub async fn drop_empty_month(&self, table: &str, month: &str, now: Timestamp) -> Result<bool> {
        let mut tx = self.begin().await?;
        if let Tx::Sqlite(_) = tx {
            return Ok(false);
        }
        query(
            "INSERT INTO retention_grants (table_name, granted_at, reason) VALUES ($1, $2, 'an empty month')",
        )
        .bind(table)
        .bind(now.timestamp_micros())
        .execute(&mut tx)
        .await?;
        let dropped: bool =
            query_scalar("SELECT drop_month($1, $2)").bind(table).bind(month).fetch_one(&mut tx).await?;
        query("UPDATE retention_grants SET open = 0 WHERE open = 1").execute(&mut tx).await?;
        match dropped {
            true => tx.commit().await?,
            false => tx.rollback().await?,
        }
        Ok(dropped)
    }

    /// The months before `month` of a server's tables that hold nothing.
    pub async fn empty_months(&self, month: &str) -> Result<Vec<(String, String)>> {
        let Database::Postgres(_) = self.reader() else { return Ok(Vec::new()) };
        let mut empty = Vec::new();
        for known in self.load_months().await?.unwrap_or_default() {
            if known.month.as_str() >= month {
                continue;
            }
            let partition = format!("{}_{}", known.table, known.month.replace('-', "_"));
            let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {partition})");
            if query_scalar_of(sql).fetch_one(self.reader()).await? {
                empty.push((known.table, known.month));
            }
        }
        Ok(empty)
    }

    async fn counted(&self, sql: &'static str, before: Day) -> Result<Droppable> {
        droppable(&query(sql).bind(before.to_string()).fetch_one(self.reader()).await?)
    }

    async fn drop_batch<'q>(&self, sql: &'static str, before: impl Bind<'q>) -> Result<DroppedBatch> {
        let mut tx = self.begin().await?;
        let done = query(sql).bind(before).bind(BATCH).execute(&mut tx).await?;
        failpoint!("retention.before_commit");
        tx.commit().await?;
        let rows = i64::try_from(done.rows_affected()).unwrap_or(i64::MAX);
        Ok(DroppedBatch { rows, bytes: 0, next: (rows > 0).then_some(0) })
    }
}

fn of_the_present() -> String {
    let rules: Vec<&str> =
        Rule::ALL.iter().filter(|rule| rule.is_of_the_present()).map(|rule| rule.as_str()).collect();
    to_json(&rules)
}

fn droppable(row: &Row) -> Result<Droppable> {
    let oldest: Option<String> = row.try_get("oldest")?;
    Ok(Droppable {
        rows: row.try_get("droppable")?,
        bytes: None,
        oldest_kept: oldest.map(|day| parsed(day, "retention", "day")).transpose()?,
    })
}

fn receipt_key(row: &Row) -> Result<ReceiptKey> {
    Ok(ReceiptKey {
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        marketplace: row.try_get("marketplace")?,
        asin_requested: row.try_get("asin_requested")?,
        observed_at: instant(row, "raw_receipts", "observed_at")?,
        body_sha256: row.try_get("body_sha256")?,
    })
}

/// What is left of a receipt.
fn identity(key: &ReceiptKey) -> String {
    let observed_at = key.observed_at.timestamp_micros().to_string();
    stable_id(&[
        &key.source,
        &key.kind,
        &key.marketplace,
        &key.asin_requested,
        &observed_at,
        &key.body_sha256,
    ])
}

/// For each of the keys, whether its receipt was dropped.
pub(super) async fn were_dropped(tx: &mut Tx, keys: &[&ReceiptKey]) -> Result<Vec<bool>> {
    let until: Option<i64> = query_scalar("SELECT value FROM marks WHERE name = $1")
        .bind(DROPPED_UNTIL)
        .fetch_optional(&mut *tx)
        .await?;
    let may_be = |key: &&&ReceiptKey| until.is_some_and(|until| key.observed_at.timestamp_micros() <= until);
    let identities: Vec<String> = keys.iter().filter(may_be).map(|key| identity(key)).collect();
    if identities.is_empty() {
        return Ok(vec![false; keys.len()]);
    }
    let known: Vec<String> = query_scalar(
        "SELECT identity FROM dropped_receipts WHERE identity IN (SELECT value FROM json_each($1))",
    )
    .bind(to_json(&identities))
    .fetch_all(tx)
    .await?;
    let known: BTreeSet<String> = known.into_iter().collect();
    Ok(keys.iter().map(|key| may_be(&key) && known.contains(&identity(key))).collect())
}
