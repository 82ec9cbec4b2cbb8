//! Core: observations and what is derived from them: the daily row, ranks, listing versions, products.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::columns::{from_json, instant, known_listed, parsed, product_key, to_json, word};
use super::ops::bump_mark;
use super::raw::decode_body;
use super::{Result, Store, Tx, bulk};
use crate::model::{
    Asin, Availability, Condition, Currency, DailyRow, Day, DayRange, Fulfilment, Listing, Marketplace,
    Observation, OfferBlock, PriceBasis, ProductKey, Rank, RankBlock, RatingBlock, Review, Timestamp,
};
use crate::normalize::{DayObservation, ListingVersion, NORMALIZER_VERSION};

/// A receipt with its body, as normalize reads it.
#[derive(Clone, Debug)]
pub struct RawRecord {
    pub receipt_id: i64,
    pub source: String,
    pub kind: String,
    pub marketplace: String,
    pub asin_requested: String,
    pub observed_at: Timestamp,
    pub fetched_at: Timestamp,
    pub body_sha256: String,
    pub shape: String,
    pub file_path: Option<String>,
    pub file_line: Option<i64>,
    pub file_offset: Option<i64>,
    pub body: Vec<u8>,
}

/// Which receipts to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unread {
    /// Those the current normalizer has not read.
    New,
    /// All that were observed at or after this instant.
    Since(Timestamp),
}

/// What came of one receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReceiptOutcome {
    Observed,
    Reviewed,
    NotFound,
    Quarantined,
}

impl ReceiptOutcome {
    fn as_str(self) -> &'static str {
        match self {
            ReceiptOutcome::Observed => "observed",
            ReceiptOutcome::Reviewed => "reviewed",
            ReceiptOutcome::NotFound => "not_found",
            ReceiptOutcome::Quarantined => "quarantined",
        }
    }
}

/// One observation with the receipt it comes from.
#[derive(Clone, Debug)]
pub struct NewObservation {
    pub receipt_id: i64,
    pub item: i64,
    pub day: Day,
    pub observed_at: Timestamp,
    pub fetched_at: Timestamp,
    pub source: String,
    pub body_sha256: String,
    pub observation: Observation,
    /// Of the folded listing content.
    pub content_hash: String,
}

/// A row for the quarantine. Its id is derived from what it is about, so that the same failure is one row.
#[derive(Clone, Debug)]
pub struct NewQuarantine {
    pub quarantine_id: String,
    pub reason: String,
    pub field: String,
    pub detail: String,
    pub source: String,
    pub marketplace: String,
    pub asin: String,
    pub receipt_id: i64,
    pub item: i64,
    pub body_sha256: String,
    pub file_path: Option<String>,
    pub file_line: Option<i64>,
    pub file_offset: Option<i64>,
}

/// Everything one batch of receipts gave.
#[derive(Clone, Debug, Default)]
pub struct NormalizedBatch {
    pub receipts: Vec<(i64, ReceiptOutcome)>,
    pub observations: Vec<NewObservation>,
    pub reviews: Vec<(Review, String, Timestamp)>,
    pub quarantine: Vec<NewQuarantine>,
}

/// What a committed batch changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchEffect {
    pub observations_written: u64,
    pub days_changed: u64,
    pub quarantined: u64,
}

/// A day's row out of its observations; null when none knows anything.
type ChooseDay<'a> = dyn Fn(Day, &[DayObservation]) -> Option<DailyRow> + Send + Sync + 'a;
/// The listing versions of one source out of everything it showed, oldest first.
type CutVersions<'a> = dyn Fn(&str, &[(Timestamp, Listing)]) -> Vec<ListingVersion> + Send + Sync + 'a;

/// How the rows derived from observations are chosen; given by the stage so that the store decides nothing.
pub struct Derive<'a> {
    pub daily: &'a ChooseDay<'a>,
    pub versions: &'a CutVersions<'a>,
    /// Sources, most trusted first: whose listing names the product.
    pub precedence: &'a [String],
}

/// A product as it is now known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProductRecord {
    pub marketplace: Marketplace,
    pub asin: Asin,
    pub title: Option<String>,
    pub brand: Option<String>,
    pub category: Option<String>,
    pub image_url: Option<String>,
    pub parent_asin: Option<String>,
    pub status: String,
    pub first_day: Day,
    pub last_day: Day,
}

/// The blocks of an observation that are stored as JSON.
#[derive(Serialize, Deserialize)]
struct Facts {
    offer: OfferBlock,
    rank: RankBlock,
    rating: RatingBlock,
    monthly_sold_min: Option<i64>,
}

impl Store {
    /// The next receipts after `after` to normalize, oldest first, bodies decompressed: at most `limit` of them, and
    /// no more once their bodies are `most_bytes` together.
    pub async fn load_unread(
        &self,
        unread: Unread,
        after: i64,
        limit: i64,
        most_bytes: usize,
    ) -> Result<Vec<RawRecord>> {
        let query = match unread {
            Unread::New => sqlx::query(LOAD_NEW_RECEIPTS).bind(after).bind(NORMALIZER_VERSION).bind(limit),
            Unread::Since(at) => {
                sqlx::query(LOAD_RECEIPTS_SINCE).bind(after).bind(at.timestamp_micros()).bind(limit)
            }
        };
        let mut rows = query.fetch(self.reader());
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < most_bytes
            && let Some(row) = rows.try_next().await?
        {
            let record = raw_record(&row)?;
            bytes += record.body.len();
            records.push(record);
        }
        Ok(records)
    }

    /// How many receipts are still to be read.
    pub async fn count_unread(&self, unread: Unread) -> Result<u64> {
        let count: i64 = match unread {
            Unread::New => {
                sqlx::query_scalar(
                    "SELECT COUNT(*) FROM raw_receipts r LEFT JOIN normalized_receipts n ON n.receipt_id = r.receipt_id
                     WHERE n.receipt_id IS NULL OR n.normalizer_version < $1",
                )
                .bind(NORMALIZER_VERSION)
                .fetch_one(self.reader())
                .await?
            }
            Unread::Since(at) => {
                sqlx::query_scalar("SELECT COUNT(*) FROM raw_receipts WHERE observed_at >= $1")
                    .bind(at.timestamp_micros())
                    .fetch_one(self.reader())
                    .await?
            }
        };
        Ok(count.unsigned_abs())
    }

    /// Writes what a batch of receipts gave and rebuilds everything derived from the touched products, in one
    /// transaction. Writing the same batch again changes nothing.
    pub async fn commit_normalized(
        &self,
        run_id: &str,
        now: Timestamp,
        batch: &NormalizedBatch,
        derive: &Derive<'_>,
    ) -> Result<BatchEffect> {
        let mut tx = self.begin().await?;
        let written = write_observations(&mut tx, &batch.observations).await?;
        write_reviews(&mut tx, &batch.reviews).await?;
        let quarantined = write_quarantine(&mut tx, run_id, now, batch).await?;
        bulk::insert(
            &mut tx,
            "INSERT INTO normalized_receipts (receipt_id, normalizer_version, outcome) ",
            " ON CONFLICT (receipt_id) DO UPDATE SET normalizer_version = excluded.normalizer_version, outcome = excluded.outcome
              WHERE normalizer_version <> excluded.normalizer_version OR outcome <> excluded.outcome",
            3,
            &batch.receipts,
            |values, (receipt_id, outcome)| {
                values.push_bind(*receipt_id).push_bind(NORMALIZER_VERSION).push_bind(outcome.as_str());
            },
        )
        .await?;
        let touched: BTreeSet<(ProductKey, Day)> =
            batch.observations.iter().map(|new| (new.observation.key(), new.day)).collect();
        let days_changed = rebuild_days(&mut tx, &touched, derive).await?;
        rebuild_products(&mut tx, batch, derive).await?;
        tx.commit().await?;
        Ok(BatchEffect { observations_written: written, days_changed, quarantined })
    }

    /// Daily rows of the products in the range, sorted by (marketplace, asin, day), ranks included.
    pub async fn load_daily(&self, keys: &[ProductKey], range: DayRange) -> Result<Vec<DailyRow>> {
        let mut rows = Vec::new();
        let sorted: BTreeSet<(String, ProductKey)> =
            keys.iter().map(|key| (format!("{}:{}", key.marketplace, key.asin), *key)).collect();
        for (_, key) in sorted {
            let days = sqlx::query(LOAD_DAILY)
                .bind(key.marketplace.code())
                .bind(key.asin.as_str())
                .bind(range.first.to_string())
                .bind(range.last.to_string())
                .fetch_all(self.reader())
                .await?;
            let ranks = sqlx::query(LOAD_RANKS)
                .bind(key.marketplace.code())
                .bind(key.asin.as_str())
                .bind(range.first.to_string())
                .bind(range.last.to_string())
                .fetch_all(self.reader())
                .await?;
            rows.extend(join_ranks(&days, &ranks)?);
        }
        Ok(rows)
    }

    /// What is known of a product; null when it was never seen.
    pub async fn load_product(&self, key: ProductKey) -> Result<Option<ProductRecord>> {
        let row = sqlx::query(
            "SELECT marketplace, asin, title, brand, category, image_url, parent_asin, status, first_day, last_day
             FROM products WHERE marketplace = $1 AND asin = $2",
        )
        .bind(key.marketplace.code())
        .bind(key.asin.as_str())
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(product_record).transpose()
    }

    /// Every marketplace in which an ASIN was seen or is watched, sorted.
    pub async fn find_products(&self, asin: Asin) -> Result<Vec<ProductKey>> {
        let rows = sqlx::query(
            "SELECT marketplace FROM products WHERE asin = $1 UNION SELECT marketplace FROM watch_items WHERE asin = $1
             ORDER BY 1",
        )
        .bind(asin.as_str())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| Ok(ProductKey { marketplace: word(row, "products", "marketplace")?, asin }))
            .collect()
    }

    /// The newest day with a daily row, of one marketplace or of all.
    pub async fn newest_day(&self, marketplace: Option<Marketplace>) -> Result<Option<Day>> {
        let newest: Option<String> = sqlx::query_scalar(
            "SELECT MAX(day) FROM (SELECT (SELECT MAX(day) FROM product_metrics_daily d WHERE d.marketplace = m.value) AS day
             FROM json_each($1) m)",
        )
        .bind(marketplace_list(marketplace))
        .fetch_one(self.reader())
        .await?;
        newest.map(|day| parsed(day, "product_metrics_daily", "day")).transpose()
    }
}

/// A JSON array of the codes of one marketplace or of all.
fn marketplace_list(marketplace: Option<Marketplace>) -> String {
    let codes: Vec<&str> = match marketplace {
        Some(one) => vec![one.code()],
        None => Marketplace::ALL.iter().map(|one| one.code()).collect(),
    };
    to_json(&codes)
}

/// The receipts that `$picked` names, with their bodies. Bodies are joined last: they are not to be looked up for
/// receipts that were read long ago.
macro_rules! with_bodies {
    ($picked:literal) => {
        concat!(
            "SELECT r.receipt_id, r.source, r.kind, r.marketplace, r.asin_requested, r.observed_at, r.fetched_at,
                r.body_sha256, r.shape, r.file_path, r.file_line, r.file_offset, b.codec, b.size_bytes, b.bytes
             FROM (SELECT r.* FROM raw_receipts r ",
            $picked,
            " ORDER BY r.receipt_id LIMIT $3) r CROSS JOIN raw_bodies b ON b.sha256 = r.body_sha256 ORDER BY r.receipt_id"
        )
    };
}

const LOAD_NEW_RECEIPTS: &str = with_bodies!(
    "LEFT JOIN normalized_receipts n ON n.receipt_id = r.receipt_id
     WHERE r.receipt_id > $1 AND (n.receipt_id IS NULL OR n.normalizer_version < $2)"
);

const LOAD_RECEIPTS_SINCE: &str = with_bodies!("WHERE r.receipt_id > $1 AND r.observed_at >= $2");

const LOAD_DAILY: &str = "SELECT * FROM product_metrics_daily
    WHERE marketplace = $1 AND asin = $2 AND day BETWEEN $3 AND $4 ORDER BY day";

const LOAD_RANKS: &str = "SELECT day, category_id, category, rank, is_main, is_leaf FROM ranks
    WHERE marketplace = $1 AND asin = $2 AND day BETWEEN $3 AND $4 ORDER BY day, ordinal";

/// Writes the observations whose content differs from the newest version of the same receipt and item.
async fn write_observations(tx: &mut Tx, observations: &[NewObservation]) -> Result<u64> {
    let mut rows = Vec::with_capacity(observations.len());
    let mut contents = BTreeMap::new();
    for new in observations {
        let observation = &new.observation;
        let facts = Facts {
            offer: observation.offer.clone(),
            rank: observation.rank.clone(),
            rating: observation.rating.clone(),
            monthly_sold_min: observation.monthly_sold_min,
        };
        let listing = to_json(&observation.listing);
        let listing_hash = crate::ids::stable_id(&[&listing]);
        contents.insert(listing_hash.clone(), (new.content_hash.clone(), listing));
        rows.push((new, to_json(&facts), listing_hash));
    }
    let stored = newest_versions(tx, observations).await?;
    rows.retain(|(new, facts, listing_hash)| {
        stored.get(&(new.receipt_id, new.item)).is_none_or(|old| {
            old.facts != *facts
                || old.listing_hash != *listing_hash
                || old.found != new.observation.found
                || old.asin != new.observation.asin.as_str()
        })
    });
    let contents: Vec<_> = contents.into_iter().collect();
    bulk::insert(
        tx,
        "INSERT INTO listing_contents (listing_hash, content_hash, content) ",
        " ON CONFLICT (listing_hash) DO NOTHING",
        3,
        &contents,
        |values, (listing_hash, (content_hash, content))| {
            values
                .push_bind(listing_hash.as_str())
                .push_bind(content_hash.as_str())
                .push_bind(content.as_str());
        },
    )
    .await?;
    bulk::insert(
        tx,
        "INSERT INTO observations (receipt_id, item, normalizer_version, marketplace, asin, day, observed_at,
         fetched_at, source, body_sha256, found, facts, listing_hash) ",
        " ON CONFLICT (receipt_id, item, normalizer_version) DO UPDATE SET marketplace = excluded.marketplace,
          asin = excluded.asin, day = excluded.day, found = excluded.found, facts = excluded.facts,
          listing_hash = excluded.listing_hash",
        13,
        &rows,
        |values, (new, facts, listing_hash)| {
            let observation = &new.observation;
            values
                .push_bind(new.receipt_id)
                .push_bind(new.item)
                .push_bind(NORMALIZER_VERSION)
                .push_bind(observation.marketplace.code())
                .push_bind(observation.asin.to_string())
                .push_bind(new.day.to_string())
                .push_bind(new.observed_at.timestamp_micros())
                .push_bind(new.fetched_at.timestamp_micros())
                .push_bind(new.source.as_str())
                .push_bind(new.body_sha256.as_str())
                .push_bind(observation.found)
                .push_bind(facts.as_str())
                .push_bind(listing_hash.as_str());
        },
    )
    .await
}

struct StoredVersion {
    facts: String,
    listing_hash: String,
    found: bool,
    asin: String,
}

/// The newest stored version of each (receipt, item) that the batch brings.
async fn newest_versions(
    tx: &mut Tx,
    observations: &[NewObservation],
) -> Result<HashMap<(i64, i64), StoredVersion>> {
    let ids: Vec<i64> = observations.iter().map(|new| new.receipt_id).collect();
    let rows = sqlx::query(
        "SELECT receipt_id, item, facts, listing_hash, found, asin FROM observations
         WHERE receipt_id IN (SELECT value FROM json_each($1)) ORDER BY receipt_id, item, normalizer_version",
    )
    .bind(to_json(&ids))
    .fetch_all(&mut **tx)
    .await?;
    let mut stored = HashMap::new();
    for row in rows {
        let version = StoredVersion {
            facts: row.try_get("facts")?,
            listing_hash: row.try_get("listing_hash")?,
            found: row.try_get("found")?,
            asin: row.try_get("asin")?,
        };
        stored.insert((row.try_get("receipt_id")?, row.try_get("item")?), version);
    }
    Ok(stored)
}

/// A review is known by its id; a later sighting replaces an earlier one.
async fn write_reviews(tx: &mut Tx, reviews: &[(Review, String, Timestamp)]) -> Result<u64> {
    // One statement may not touch a row twice. Inside a batch the same sighting wins as between two, so that what is
    // kept does not depend on where a batch ends; of equal ones the last, so that a replay can correct a review.
    let mut newest: BTreeMap<(&str, Asin, &str), &(Review, String, Timestamp)> = BTreeMap::new();
    for entry in reviews {
        let key = (entry.0.marketplace.code(), entry.0.asin, entry.0.review_id.as_str());
        if newest.get(&key).is_none_or(|known| (known.2, &known.1) <= (entry.2, &entry.1)) {
            newest.insert(key, entry);
        }
    }
    let rows: Vec<_> = newest.into_values().collect();
    bulk::insert(
        tx,
        "INSERT INTO reviews (marketplace, asin, review_id, rating_centi, title, body, reviewed_on, verified,
         helpful_count, list_filter, source, observed_at) ",
        " ON CONFLICT (marketplace, asin, review_id) DO UPDATE SET rating_centi = excluded.rating_centi,
          title = excluded.title, body = excluded.body, reviewed_on = excluded.reviewed_on,
          verified = excluded.verified, helpful_count = excluded.helpful_count, list_filter = excluded.list_filter,
          source = excluded.source, observed_at = excluded.observed_at
          WHERE (excluded.observed_at, excluded.source) >= (reviews.observed_at, reviews.source)",
        12,
        &rows,
        |values, (review, source, observed_at)| {
            values
                .push_bind(review.marketplace.code())
                .push_bind(review.asin.to_string())
                .push_bind(review.review_id.as_str())
                .push_bind(review.rating_centi)
                .push_bind(review.title.as_deref())
                .push_bind(review.body.as_deref())
                .push_bind(review.reviewed_on.map(|day| day.to_string()))
                .push_bind(review.verified)
                .push_bind(review.helpful_count)
                .push_bind(review.list_filter.as_deref())
                .push_bind(source.as_str())
                .push_bind(observed_at.timestamp_micros());
        },
    )
    .await
}

/// Adds the batch's rejects and resolves older ones of receipts that now read well. Answers how many are new.
async fn write_quarantine(tx: &mut Tx, run_id: &str, now: Timestamp, batch: &NormalizedBatch) -> Result<u64> {
    let kept: BTreeSet<&str> = batch.quarantine.iter().map(|row| row.quarantine_id.as_str()).collect();
    let read: Vec<i64> = batch.receipts.iter().map(|(receipt_id, _)| *receipt_id).collect();
    sqlx::query(
        "UPDATE quarantine SET state = 'resolved' WHERE stage = 'normalize' AND state = 'open'
         AND receipt_id IN (SELECT value FROM json_each($1))
         AND quarantine_id NOT IN (SELECT value FROM json_each($2))",
    )
    .bind(to_json(&read))
    .bind(to_json(&kept))
    .execute(&mut **tx)
    .await?;
    bulk::insert(
        tx,
        "INSERT INTO quarantine (quarantine_id, stage, reason, field, detail, source, marketplace, asin, receipt_id,
         item, body_sha256, file_path, file_line, file_offset, state, run_id, recorded_at) ",
        " ON CONFLICT (quarantine_id) DO UPDATE SET state = 'open' WHERE quarantine.state = 'resolved'",
        17,
        &batch.quarantine,
        |values, row| {
            values
                .push_bind(row.quarantine_id.as_str())
                .push_bind("normalize")
                .push_bind(row.reason.as_str())
                .push_bind(row.field.as_str())
                .push_bind(row.detail.as_str())
                .push_bind(row.source.as_str())
                .push_bind(row.marketplace.as_str())
                .push_bind(row.asin.as_str())
                .push_bind(row.receipt_id)
                .push_bind(row.item)
                .push_bind(row.body_sha256.as_str())
                .push_bind(row.file_path.as_deref())
                .push_bind(row.file_line)
                .push_bind(row.file_offset)
                .push_bind("open")
                .push_bind(run_id)
                .push_bind(now.timestamp_micros());
        },
    )
    .await
}

/// Chooses the daily rows of the touched product-days anew and writes those that changed.
async fn rebuild_days(
    tx: &mut Tx,
    touched: &BTreeSet<(ProductKey, Day)>,
    derive: &Derive<'_>,
) -> Result<u64> {
    let mut changed = 0;
    let touched: Vec<(ProductKey, Day)> = touched.iter().copied().collect();
    for chunk in touched.chunks(500) {
        let mut observed = observations_of(tx, chunk).await?;
        let stored = stored_days(tx, chunk).await?;
        let (mut upserts, mut replaced, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        for (key, day) in chunk {
            let seen = observed.remove(&(*key, *day)).unwrap_or_default();
            match ((derive.daily)(*day, &seen).map(with_named_leaf), stored.get(&(*key, *day))) {
                (Some(new), Some(old)) if new == *old => {}
                (Some(new), old) => {
                    replaced.extend(old.map(|_| (*key, *day)));
                    upserts.push(new);
                }
                (None, Some(_)) => deletes.push((*key, *day)),
                (None, None) => {}
            }
        }
        changed += (upserts.len() + deletes.len()) as u64;
        write_days(tx, &upserts, &replaced, &deletes).await?;
    }
    Ok(changed)
}

/// The found observations of the given product-days, newest version of each receipt.
async fn observations_of(
    tx: &mut Tx,
    days: &[(ProductKey, Day)],
) -> Result<HashMap<(ProductKey, Day), Vec<DayObservation>>> {
    let mut query = QueryBuilder::<Sqlite>::new("WITH touched (m, a, d) AS (");
    query.push_values(days, |mut values, (key, day)| {
        values.push_bind(key.marketplace.code()).push_bind(key.asin.to_string()).push_bind(day.to_string());
    });
    query.push(
        ") SELECT o.marketplace, o.asin, o.day, o.receipt_id, o.item, o.normalizer_version, o.observed_at, o.fetched_at,
           o.source, o.body_sha256, o.facts
           FROM touched CROSS JOIN observations o ON o.marketplace = m AND o.asin = a AND o.found = 1 AND o.day = d
           ORDER BY o.receipt_id, o.item, o.normalizer_version",
    );
    let rows = query.build().persistent(false).fetch_all(&mut **tx).await?;
    let mut newest: BTreeMap<(i64, i64), (ProductKey, Day, DayObservation)> = BTreeMap::new();
    for row in &rows {
        let key = product_key(row, "observations")?;
        let day: Day = word(row, "observations", "day")?;
        let observation = facts_of(row, true)?;
        let day_observation = DayObservation {
            observation,
            observed_at: instant(row, "observations", "observed_at")?,
            fetched_at: instant(row, "observations", "fetched_at")?,
            source: row.try_get("source")?,
            body_sha256: row.try_get("body_sha256")?,
        };
        newest.insert((row.try_get("receipt_id")?, row.try_get("item")?), (key, day, day_observation));
    }
    let mut by_day: HashMap<_, Vec<DayObservation>> = HashMap::new();
    for (key, day, observation) in newest.into_values() {
        by_day.entry((key, day)).or_default().push(observation);
    }
    Ok(by_day)
}

/// The observation in a row's key and facts columns, without its listing.
pub(super) fn facts_of(row: &SqliteRow, found: bool) -> Result<Observation> {
    let key = product_key(row, "observations")?;
    let facts: Facts = from_json(row, "observations", "facts")?;
    Ok(Observation {
        marketplace: key.marketplace,
        asin: key.asin,
        found,
        offer: facts.offer,
        rank: facts.rank,
        rating: facts.rating,
        monthly_sold_min: facts.monthly_sold_min,
        listing: Listing::default(),
    })
}

/// The stored daily rows of the given product-days.
async fn stored_days(
    tx: &mut Tx,
    days: &[(ProductKey, Day)],
) -> Result<HashMap<(ProductKey, Day), DailyRow>> {
    let select = |table: &str, columns: &str, order: &str| {
        let mut query = QueryBuilder::<Sqlite>::new("WITH touched (m, a, d) AS (");
        query.push_values(days, |mut values, (key, day)| {
            values
                .push_bind(key.marketplace.code())
                .push_bind(key.asin.to_string())
                .push_bind(day.to_string());
        });
        query.push(format!(
            ") SELECT {columns} FROM touched CROSS JOIN {table} t ON t.marketplace = m AND t.asin = a AND t.day = d {order}"
        ));
        query
    };
    let daily =
        select("product_metrics_daily", "t.*", "").build().persistent(false).fetch_all(&mut **tx).await?;
    let ranks = select("ranks", "t.*", "ORDER BY t.marketplace, t.asin, t.day, t.ordinal")
        .build()
        .persistent(false)
        .fetch_all(&mut **tx)
        .await?;
    let mut by_day: HashMap<(ProductKey, Day), Vec<&SqliteRow>> = HashMap::new();
    for row in &ranks {
        by_day.entry((product_key(row, "ranks")?, word(row, "ranks", "day")?)).or_default().push(row);
    }
    let mut stored = HashMap::new();
    for row in &daily {
        let mut day = daily_row(row)?;
        day.rank = rank_block(by_day.get(&(day.key(), day.day)).map_or(&[], Vec::as_slice))?;
        stored.insert((day.key(), day.day), day);
    }
    Ok(stored)
}

/// Writes changed daily rows with their ranks, removes those without a basis, and marks their days changed;
/// `replaced` are the days of `upserts` that are stored already.
async fn write_days(
    tx: &mut Tx,
    upserts: &[DailyRow],
    replaced: &[(ProductKey, Day)],
    deletes: &[(ProductKey, Day)],
) -> Result<()> {
    if upserts.is_empty() && deletes.is_empty() {
        return Ok(());
    }
    let seq = bump_mark(tx, "changed_seq").await?;
    let changed: BTreeSet<(&str, Day)> = upserts
        .iter()
        .map(|row| (row.marketplace.code(), row.day))
        .chain(deletes.iter().map(|(key, day)| (key.marketplace.code(), *day)))
        .collect();
    let changed: Vec<_> = changed.into_iter().collect();
    bulk::insert(
        tx,
        "INSERT INTO changed_days (marketplace, day, changed_seq) ",
        " ON CONFLICT (marketplace, day) DO UPDATE SET changed_seq = excluded.changed_seq",
        3,
        &changed,
        |values, (marketplace, day)| {
            values.push_bind(*marketplace).push_bind(day.to_string()).push_bind(seq);
        },
    )
    .await?;
    for (key, day) in replaced.iter().chain(deletes) {
        delete_day(tx, "DELETE FROM ranks WHERE marketplace = $1 AND asin = $2 AND day = $3", *key, *day)
            .await?;
    }
    for (key, day) in deletes {
        let sql = "DELETE FROM product_metrics_daily WHERE marketplace = $1 AND asin = $2 AND day = $3";
        delete_day(tx, sql, *key, *day).await?;
    }
    bulk::insert(tx, DAILY_HEAD, DAILY_TAIL, 36, upserts, bind_daily).await?;
    let ranks: Vec<(&DailyRow, usize)> =
        upserts.iter().flat_map(|row| (0..row.rank.ranks.len()).map(move |ordinal| (row, ordinal))).collect();
    bulk::insert(
        tx,
        "INSERT INTO ranks (marketplace, asin, day, ordinal, category_id, category, rank, is_main, is_leaf) ",
        "",
        9,
        &ranks,
        |values, (row, ordinal)| {
            let rank = &row.rank.ranks[*ordinal];
            let is_leaf = row.rank.leaf().is_some_and(|leaf| std::ptr::eq(leaf, rank));
            values
                .push_bind(row.marketplace.code())
                .push_bind(row.asin.to_string())
                .push_bind(row.day.to_string())
                .push_bind(*ordinal as i64)
                .push_bind(rank.category_id.as_deref())
                .push_bind(rank.category.as_str())
                .push_bind(rank.rank)
                .push_bind(rank.is_main)
                .push_bind(is_leaf);
        },
    )
    .await?;
    Ok(())
}

/// One day by its key: SQLite scans the whole table for a list of keys.
async fn delete_day(tx: &mut Tx, sql: &'static str, key: ProductKey, day: Day) -> Result<()> {
    sqlx::query(sql)
        .bind(key.marketplace.code())
        .bind(key.asin.as_str())
        .bind(day.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

const DAILY_HEAD: &str = "INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor,
    list_price_minor, buy_box_price_minor, shipping_minor, landed_price_minor, price_basis, coupon_minor, coupon_pct,
    is_deal, is_prime, seller_id, seller_name, fulfilment, condition, offer_count, availability, stock_quantity, bsr,
    bsr_category, bsr_category_id, bsr_leaf, bsr_leaf_category, bsr_leaf_category_id, rating_centi, ratings_count,
    monthly_sold_min, low_price_minor, high_price_minor, observations, source, sources) ";

const DAILY_TAIL: &str = " ON CONFLICT (marketplace, asin, day) DO UPDATE SET observed_at = excluded.observed_at,
    currency = excluded.currency, price_minor = excluded.price_minor, list_price_minor = excluded.list_price_minor,
    buy_box_price_minor = excluded.buy_box_price_minor, shipping_minor = excluded.shipping_minor,
    landed_price_minor = excluded.landed_price_minor, price_basis = excluded.price_basis,
    coupon_minor = excluded.coupon_minor, coupon_pct = excluded.coupon_pct, is_deal = excluded.is_deal,
    is_prime = excluded.is_prime, seller_id = excluded.seller_id, seller_name = excluded.seller_name,
    fulfilment = excluded.fulfilment, condition = excluded.condition, offer_count = excluded.offer_count,
    availability = excluded.availability, stock_quantity = excluded.stock_quantity, bsr = excluded.bsr,
    bsr_category = excluded.bsr_category, bsr_category_id = excluded.bsr_category_id, bsr_leaf = excluded.bsr_leaf,
    bsr_leaf_category = excluded.bsr_leaf_category, bsr_leaf_category_id = excluded.bsr_leaf_category_id,
    rating_centi = excluded.rating_centi, ratings_count = excluded.ratings_count,
    monthly_sold_min = excluded.monthly_sold_min, low_price_minor = excluded.low_price_minor,
    high_price_minor = excluded.high_price_minor, observations = excluded.observations, source = excluded.source,
    sources = excluded.sources";

fn bind_daily(values: &mut sqlx::query_builder::Separated<'_, Sqlite, &'static str>, row: &DailyRow) {
    let (offer, main, leaf) = (&row.offer, row.rank.main(), row.rank.leaf());
    values
        .push_bind(row.marketplace.code())
        .push_bind(row.asin.to_string())
        .push_bind(row.day.to_string())
        .push_bind(row.observed_at.timestamp_micros())
        .push_bind(row.currency.code())
        .push_bind(offer.price_minor)
        .push_bind(offer.list_price_minor)
        .push_bind(offer.buy_box_price_minor)
        .push_bind(offer.shipping_minor)
        .push_bind(offer.landed_price_minor())
        .push_bind(offer.price_basis.map(PriceBasis::as_str))
        .push_bind(offer.coupon_minor)
        .push_bind(offer.coupon_pct)
        .push_bind(offer.is_deal)
        .push_bind(offer.is_prime)
        .push_bind(offer.seller_id.clone())
        .push_bind(offer.seller_name.clone())
        .push_bind(offer.fulfilment.map(Fulfilment::as_str))
        .push_bind(offer.condition.map(Condition::as_str))
        .push_bind(offer.offer_count)
        .push_bind(offer.availability.as_str())
        .push_bind(offer.stock_quantity)
        .push_bind(main.map(|rank| rank.rank))
        .push_bind(main.map(|rank| rank.category.clone()))
        .push_bind(main.and_then(|rank| rank.category_id.clone()))
        .push_bind(leaf.map(|rank| rank.rank))
        .push_bind(leaf.map(|rank| rank.category.clone()))
        .push_bind(leaf.and_then(|rank| rank.category_id.clone()))
        .push_bind(row.rating.rating_centi)
        .push_bind(row.rating.ratings_count)
        .push_bind(row.monthly_sold_min)
        .push_bind(row.low_price_minor)
        .push_bind(row.high_price_minor)
        .push_bind(row.observations)
        .push_bind(row.source.clone())
        .push_bind(row.sources.clone());
}

/// The daily row as it is stored: of the category path only the leaf it decided for is kept.
fn with_named_leaf(mut row: DailyRow) -> DailyRow {
    row.rank.path_leaf = row.rank.leaf().map(|leaf| leaf.category.clone());
    row
}

/// Rebuilds listing versions where an observation does not fit them, and the product rows of all touched products.
async fn rebuild_products(tx: &mut Tx, batch: &NormalizedBatch, derive: &Derive<'_>) -> Result<()> {
    let touched: BTreeSet<ProductKey> = batch.observations.iter().map(|new| new.observation.key()).collect();
    let touched: Vec<ProductKey> = touched.into_iter().collect();
    for chunk in touched.chunks(500) {
        let intervals = version_intervals(tx, chunk).await?;
        let misfits: BTreeSet<(ProductKey, &str)> = batch
            .observations
            .iter()
            .filter(|new| new.observation.found && chunk.binary_search(&new.observation.key()).is_ok())
            .filter(|new| !fits(new, &intervals))
            .map(|new| (new.observation.key(), new.source.as_str()))
            .collect();
        for (key, source) in misfits {
            rebuild_versions(tx, key, source, derive).await?;
        }
        refresh_products(tx, chunk, derive.precedence).await?;
    }
    Ok(())
}

struct Interval {
    valid_from: i64,
    valid_until: Option<i64>,
    content_hash: String,
}

/// True when the observation shows what the version in force at its time already says, or nothing.
fn fits(new: &NewObservation, intervals: &HashMap<(ProductKey, String), Vec<Interval>>) -> bool {
    if new.observation.listing == Listing::default() {
        return true;
    }
    let at = new.observed_at.timestamp_micros();
    let of_source = intervals.get(&(new.observation.key(), new.source.clone()));
    of_source.into_iter().flatten().any(|version| {
        version.valid_from <= at
            && version.valid_until.is_none_or(|until| at < until)
            && version.content_hash == new.content_hash
    })
}

async fn version_intervals(
    tx: &mut Tx,
    keys: &[ProductKey],
) -> Result<HashMap<(ProductKey, String), Vec<Interval>>> {
    let mut query = QueryBuilder::<Sqlite>::new("WITH touched (m, a) AS (");
    query.push_values(keys, |mut values, key| {
        values.push_bind(key.marketplace.code()).push_bind(key.asin.to_string());
    });
    query.push(
        ") SELECT v.marketplace, v.asin, v.source, v.valid_from, v.valid_until, v.content_hash
         FROM touched CROSS JOIN listing_versions v ON v.marketplace = m AND v.asin = a",
    );
    let mut intervals: HashMap<_, Vec<Interval>> = HashMap::new();
    for row in query.build().persistent(false).fetch_all(&mut **tx).await? {
        let interval = Interval {
            valid_from: row.try_get("valid_from")?,
            valid_until: row.try_get("valid_until")?,
            content_hash: row.try_get("content_hash")?,
        };
        let source: String = row.try_get("source")?;
        intervals.entry((product_key(&row, "listing_versions")?, source)).or_default().push(interval);
    }
    Ok(intervals)
}

/// Cuts the versions of one product and source anew from all their observations.
async fn rebuild_versions(tx: &mut Tx, key: ProductKey, source: &str, derive: &Derive<'_>) -> Result<()> {
    let rows = sqlx::query(
        "SELECT o.receipt_id, o.item, o.observed_at, c.content FROM observations o
         JOIN listing_contents c ON c.listing_hash = o.listing_hash
         WHERE o.marketplace = $1 AND o.asin = $2 AND o.found = 1 AND o.source = $3
         ORDER BY o.observed_at, o.body_sha256, o.receipt_id, o.item, o.normalizer_version",
    )
    .bind(key.marketplace.code())
    .bind(key.asin.as_str())
    .bind(source)
    .fetch_all(&mut **tx)
    .await?;
    let mut shown: Vec<((i64, i64), (Timestamp, Listing))> = Vec::new();
    for row in &rows {
        let id = (row.try_get("receipt_id")?, row.try_get("item")?);
        let entry =
            (instant(row, "observations", "observed_at")?, from_json(row, "listing_contents", "content")?);
        match shown.last_mut() {
            // A newer normalizer version of the same receipt replaces the older one.
            Some((last, known)) if *last == id => *known = entry,
            _ => shown.push((id, entry)),
        }
    }
    let shown: Vec<(Timestamp, Listing)> = shown.into_iter().map(|(_, entry)| entry).collect();
    let versions = (derive.versions)(source, &shown);
    sqlx::query("DELETE FROM listing_versions WHERE marketplace = $1 AND asin = $2 AND source = $3")
        .bind(key.marketplace.code())
        .bind(key.asin.as_str())
        .bind(source)
        .execute(&mut **tx)
        .await?;
    bulk::insert(
        tx,
        "INSERT INTO listing_versions (marketplace, asin, source, valid_from, valid_until, content_hash, title, brand,
         category, image_url, parent_asin, bullets, images, variants) ",
        "",
        14,
        &versions,
        |values, version| {
            let listing = &version.listing;
            values
                .push_bind(key.marketplace.code())
                .push_bind(key.asin.to_string())
                .push_bind(version.source.as_str())
                .push_bind(version.valid_from.timestamp_micros())
                .push_bind(version.valid_until.map(|until| until.timestamp_micros()))
                .push_bind(version.content_hash.as_str())
                .push_bind(listing.title.as_deref())
                .push_bind(listing.brand.as_deref())
                .push_bind((!listing.category_path.is_empty()).then(|| listing.category_path.join(" > ")))
                .push_bind(listing.image_url.as_deref())
                .push_bind(listing.parent_asin.map(|asin| asin.to_string()))
                .push_bind(to_json(&listing.bullets))
                .push_bind(to_json(&listing.images))
                .push_bind(to_json(&listing.variants));
        },
    )
    .await?;
    Ok(())
}

/// Writes the product rows: listing of the most trusted source, first and last day seen, gone or not.
async fn refresh_products(tx: &mut Tx, keys: &[ProductKey], precedence: &[String]) -> Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new("WITH touched (m, a) AS (");
    query.push_values(keys, |mut values, key| {
        values.push_bind(key.marketplace.code()).push_bind(key.asin.to_string());
    });
    // Two "not found" answers on different days, and nothing found since, make a product gone.
    query.push(
        "), seen AS (SELECT m, a,
            (SELECT MIN(day) FROM observations WHERE marketplace = m AND asin = a AND found = 1) AS first_found,
            (SELECT MAX(day) FROM observations WHERE marketplace = m AND asin = a AND found = 1) AS last_found,
            (SELECT MIN(day) FROM observations WHERE marketplace = m AND asin = a AND found = 0) AS first_lost
          FROM touched),
          chosen AS (SELECT m, a, v.source, v.title, v.brand, v.category, v.image_url, v.parent_asin,
            ROW_NUMBER() OVER (PARTITION BY m, a ORDER BY v.title IS NULL,
              COALESCE((SELECT key FROM json_each(",
    );
    query.push_bind(to_json(&precedence));
    query.push(
        ") WHERE value = v.source), 1000), v.source) AS place
          FROM touched JOIN listing_versions v ON v.marketplace = m AND v.asin = a AND v.valid_until IS NULL)
        INSERT INTO products (marketplace, asin, title, brand, category, image_url, parent_asin, status, first_day, last_day)
        SELECT seen.m, seen.a, title, brand, category, image_url, parent_asin,
          CASE WHEN (SELECT COUNT(DISTINCT day) FROM observations WHERE marketplace = seen.m AND asin = seen.a
                     AND found = 0 AND day > COALESCE(last_found, '')) >= 2 THEN 'gone' ELSE 'active' END,
          COALESCE(first_found, first_lost), COALESCE(last_found, first_lost)
        FROM seen LEFT JOIN chosen ON chosen.m = seen.m AND chosen.a = seen.a AND place = 1
        WHERE COALESCE(first_found, first_lost) IS NOT NULL
        ON CONFLICT (marketplace, asin) DO UPDATE SET title = excluded.title, brand = excluded.brand,
          category = excluded.category, image_url = excluded.image_url, parent_asin = excluded.parent_asin,
          status = excluded.status, first_day = excluded.first_day, last_day = excluded.last_day",
    );
    query.build().persistent(false).execute(&mut **tx).await?;
    Ok(())
}

fn raw_record(row: &SqliteRow) -> Result<RawRecord> {
    let body = decode_body(
        row.try_get("codec")?,
        row.try_get::<i64, _>("size_bytes")?.unsigned_abs(),
        row.try_get("bytes")?,
        row.try_get("body_sha256")?,
    )?;
    Ok(RawRecord {
        receipt_id: row.try_get("receipt_id")?,
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        marketplace: row.try_get("marketplace")?,
        asin_requested: row.try_get("asin_requested")?,
        observed_at: instant(row, "raw_receipts", "observed_at")?,
        fetched_at: instant(row, "raw_receipts", "fetched_at")?,
        body_sha256: row.try_get("body_sha256")?,
        shape: row.try_get("shape")?,
        file_path: row.try_get("file_path")?,
        file_line: row.try_get("file_line")?,
        file_offset: row.try_get("file_offset")?,
        body,
    })
}

/// Both lists are sorted by day.
fn join_ranks(days: &[SqliteRow], ranks: &[SqliteRow]) -> Result<Vec<DailyRow>> {
    let mut by_day: BTreeMap<Day, Vec<&SqliteRow>> = BTreeMap::new();
    for row in ranks {
        by_day.entry(word(row, "ranks", "day")?).or_default().push(row);
    }
    days.iter()
        .map(|row| {
            let mut day = daily_row(row)?;
            day.rank = rank_block(by_day.get(&day.day).map_or(&[], Vec::as_slice))?;
            Ok(day)
        })
        .collect()
}

fn rank_block(rows: &[&SqliteRow]) -> Result<RankBlock> {
    let mut block = RankBlock::default();
    for row in rows {
        let category: String = row.try_get("category")?;
        if row.try_get::<bool, _>("is_leaf")? {
            block.path_leaf = Some(category.clone());
        }
        block.ranks.push(Rank {
            category_id: row.try_get("category_id")?,
            category,
            rank: row.try_get("rank")?,
            is_main: row.try_get("is_main")?,
        });
    }
    Ok(block)
}

fn daily_row(row: &SqliteRow) -> Result<DailyRow> {
    const TABLE: &str = "product_metrics_daily";
    let key = product_key(row, TABLE)?;
    Ok(DailyRow {
        marketplace: key.marketplace,
        asin: key.asin,
        day: word(row, TABLE, "day")?,
        observed_at: instant(row, TABLE, "observed_at")?,
        currency: word::<Currency>(row, TABLE, "currency")?,
        offer: OfferBlock {
            price_minor: row.try_get("price_minor")?,
            price_basis: known_listed(row, TABLE, "price_basis", PriceBasis::from_word)?,
            list_price_minor: row.try_get("list_price_minor")?,
            buy_box_price_minor: row.try_get("buy_box_price_minor")?,
            shipping_minor: row.try_get("shipping_minor")?,
            coupon_minor: row.try_get("coupon_minor")?,
            coupon_pct: row.try_get("coupon_pct")?,
            is_deal: row.try_get("is_deal")?,
            is_prime: row.try_get("is_prime")?,
            seller_id: row.try_get("seller_id")?,
            seller_name: row.try_get("seller_name")?,
            fulfilment: known_listed(row, TABLE, "fulfilment", Fulfilment::from_word)?,
            condition: known_listed(row, TABLE, "condition", Condition::from_word)?,
            offer_count: row.try_get("offer_count")?,
            availability: known_listed(row, TABLE, "availability", Availability::from_word)?
                .unwrap_or_default(),
            stock_quantity: row.try_get("stock_quantity")?,
        },
        rank: RankBlock::default(),
        rating: RatingBlock {
            rating_centi: row.try_get("rating_centi")?,
            ratings_count: row.try_get("ratings_count")?,
        },
        monthly_sold_min: row.try_get("monthly_sold_min")?,
        low_price_minor: row.try_get("low_price_minor")?,
        high_price_minor: row.try_get("high_price_minor")?,
        observations: row.try_get("observations")?,
        source: row.try_get("source")?,
        sources: row.try_get("sources")?,
    })
}

fn product_record(row: &SqliteRow) -> Result<ProductRecord> {
    let key = product_key(row, "products")?;
    Ok(ProductRecord {
        marketplace: key.marketplace,
        asin: key.asin,
        title: row.try_get("title")?,
        brand: row.try_get("brand")?,
        category: row.try_get("category")?,
        image_url: row.try_get("image_url")?,
        parent_asin: row.try_get("parent_asin")?,
        status: row.try_get("status")?,
        first_day: word(row, "products", "first_day")?,
        last_day: word(row, "products", "last_day")?,
    })
}
