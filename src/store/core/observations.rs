//! Observations: what each item of each receipt says, in the reading of the newest normalizer version.
//!
//! Rows are never taken back. One that a newer reading replaces, or no longer gives, stays with `is_current` 0 and
//! counts nowhere: everything that reads observations asks for current ones.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::columns::{from_json, instant, product_key, to_json, word};
use super::super::db::{Monthly, Row, bulk, query};
use super::super::{Result, Tx};
use super::days::with_touched_days;
use super::{NewObservation, NormalizedBatch};
use crate::model::{Day, Listing, Observation, OfferBlock, ProductKey, RankBlock, RatingBlock};
use crate::normalize::{DayObservation, NORMALIZER_VERSION};

/// The blocks of an observation that are stored as JSON.
#[derive(Serialize, Deserialize)]
struct Facts {
    offer: OfferBlock,
    rank: RankBlock,
    rating: RatingBlock,
    monthly_sold_min: Option<i64>,
}

/// What a batch changed.
pub(super) struct Written {
    pub(super) rows: u64,
    /// Readings that counted until now and count no more.
    pub(super) superseded: Vec<Superseded>,
}

pub(super) struct Superseded {
    pub(super) key: ProductKey,
    pub(super) day: Day,
    pub(super) source: String,
    receipt_id: i64,
    item: i64,
}

/// Writes the observations whose content differs from the current reading of the same receipt and item, and ends
/// readings that the batch's receipts no longer give.
pub(super) async fn write(tx: &mut Tx, batch: &NormalizedBatch) -> Result<Written> {
    // Most of the bytes that are written are made here.
    let rendered: Vec<(&NewObservation, String, String, String)> =
        batch.observations.par_iter().map(rendered).collect();
    let mut rows = Vec::with_capacity(rendered.len());
    let mut contents = BTreeMap::new();
    for (new, facts, listing, listing_hash) in rendered {
        contents.insert(listing_hash.clone(), (new.content_hash.clone(), listing));
        rows.push((new, facts, listing_hash));
    }
    let mut stored = current_readings(tx, batch).await?;
    rows.retain(|(new, facts, listing_hash)| {
        let place = (new.receipt_id, new.item);
        let same = stored.get(&place).is_some_and(|old| {
            old.superseded.key == new.observation.key()
                && old.superseded.day == new.day
                && old.found == new.observation.found
                && old.facts == *facts
                && old.listing_hash == *listing_hash
        });
        if same {
            stored.remove(&place);
        }
        !same
    });
    let superseded: Vec<Superseded> = stored.into_values().map(|old| old.superseded).collect();
    for old in &superseded {
        query(
            "UPDATE observations SET is_current = 0 WHERE receipt_id = $1 AND item = $2 AND is_current = 1",
        )
        .bind(old.receipt_id)
        .bind(old.item)
        .execute(tx)
        .await?;
    }
    let contents: Vec<_> = contents.into_iter().collect();
    bulk::insert(
        tx,
        "listing_contents (listing_hash, content_hash, content)",
        " ON CONFLICT (listing_hash) DO NOTHING",
        &contents,
        |values, (listing_hash, (content_hash, content))| {
            values
                .push_bind(listing_hash.as_str())
                .push_bind(content_hash.as_str())
                .push_bind(content.as_str());
        },
    )
    .await?;
    let rows = insert(tx, &rows).await?;
    Ok(Written { rows, superseded })
}

/// An observation with its facts and its listing as JSON, and the hash of the latter.
fn rendered(new: &NewObservation) -> (&NewObservation, String, String, String) {
    let observation = &new.observation;
    let facts = Facts {
        offer: observation.offer.clone(),
        rank: observation.rank.clone(),
        rating: observation.rating.clone(),
        monthly_sold_min: observation.monthly_sold_min,
    };
    let (listing, listing_hash) = listing_content(&observation.listing);
    (new, to_json(&facts), listing, listing_hash)
}

/// A listing as JSON, and its hash, by which observations name it.
pub(in crate::store) fn listing_content(listing: &Listing) -> (String, String) {
    let content = to_json(listing);
    let hash = crate::ids::stable_id(&[&content]);
    (content, hash)
}

/// Each observation with its facts as JSON and the hash of its listing.
async fn insert(tx: &mut Tx, rows: &[(&NewObservation, String, String)]) -> Result<u64> {
    Monthly::Observations.make(tx, rows.iter().map(|(new, ..)| new.day.month())).await?;
    bulk::insert(
        tx,
        "observations (receipt_id, item, normalizer_version, is_current, marketplace, asin, day,
         observed_at, fetched_at, source, body_sha256, found, facts, listing_hash)",
        " ON CONFLICT (receipt_id, item, normalizer_version, day) DO UPDATE SET is_current = excluded.is_current,
          marketplace = excluded.marketplace, asin = excluded.asin,
          observed_at = excluded.observed_at, source = excluded.source, found = excluded.found, facts = excluded.facts, listing_hash = excluded.listing_hash",
        rows,
        |values, (new, facts, listing_hash)| {
            let observation = &new.observation;
            values
                .push_bind(new.receipt_id)
                .push_bind(new.item)
                .push_bind(NORMALIZER_VERSION)
                .push_bind(true)
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

struct Reading {
    superseded: Superseded,
    facts: String,
    listing_hash: String,
    found: bool,
}

/// The current reading of each (receipt, item) of the batch's receipts.
async fn current_readings(tx: &mut Tx, batch: &NormalizedBatch) -> Result<HashMap<(i64, i64), Reading>> {
    let ids: Vec<i64> = batch.receipts.iter().map(|(receipt_id, _)| *receipt_id).collect();
    let rows = query(
        "SELECT receipt_id, item, marketplace, asin, day, source, facts, listing_hash, found FROM observations
         WHERE receipt_id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND is_current = 1",
    )
    .bind(to_json(&ids))
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let superseded = Superseded {
                key: product_key(row, "observations")?,
                day: word(row, "observations", "day")?,
                source: row.try_get("source")?,
                receipt_id: row.try_get("receipt_id")?,
                item: row.try_get("item")?,
            };
            let place = (superseded.receipt_id, superseded.item);
            let reading = Reading {
                superseded,
                facts: row.try_get("facts")?,
                listing_hash: row.try_get("listing_hash")?,
                found: row.try_get("found")?,
            };
            Ok((place, reading))
        })
        .collect()
}

/// The found observations of the given product-days, in the order of their receipts.
pub(super) async fn of_days(
    tx: &mut Tx,
    days: &[(ProductKey, Day)],
) -> Result<HashMap<(ProductKey, Day), Vec<DayObservation>>> {
    let mut query = with_touched_days(days);
    query.push(
        ") SELECT o.marketplace, o.asin, o.day, o.observed_at, o.fetched_at, o.source, o.body_sha256, o.facts
           FROM touched CROSS JOIN observations o
             ON o.marketplace = m AND o.asin = a AND o.found = 1 AND o.day = d AND o.is_current = 1
           ORDER BY o.receipt_id, o.item",
    );
    let mut by_day: HashMap<_, Vec<DayObservation>> = HashMap::new();
    for row in &query.build().fetch_all(tx).await? {
        let seen = DayObservation {
            observation: facts_of(row, true)?,
            observed_at: instant(row, "observations", "observed_at")?,
            fetched_at: instant(row, "observations", "fetched_at")?,
            source: row.try_get("source")?,
            body_sha256: row.try_get("body_sha256")?,
        };
        let day: Day = word(row, "observations", "day")?;
        by_day.entry((seen.observation.key(), day)).or_default().push(seen);
    }
    Ok(by_day)
}

/// The observation in a row's key and facts columns, without its listing.
pub(in super::super) fn facts_of(row: &Row, found: bool) -> Result<Observation> {
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
