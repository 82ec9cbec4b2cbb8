//! What the alert rules look at of listings: versions, and the days on which the sources showed them.

use std::collections::HashMap;

use super::columns::{from_json, instant, product_key, word};
use super::core::listing_content;
use super::db::{Row, query};
use super::{Result, Store};
use crate::model::{Day, DayRange, Listing, ProductKey, Timestamp};
use crate::rollup::rules::{ListingChange, ListingLooks, ListingSide};

const TABLE: &str = "listing_versions";

impl Store {
    /// Listing versions that begin in `[from, until)`, each with the version of the same source before it,
    /// sorted by product, source and time; `day_of` says to which day an instant belongs.
    pub async fn load_listing_changes(
        &self,
        from: Timestamp,
        until: Timestamp,
        day_of: impl Fn(Timestamp) -> Day,
    ) -> Result<Vec<ListingChange>> {
        let rows = query(
            "SELECT n.marketplace, n.asin, n.source, n.valid_from,
                    o.title AS old_title, o.brand AS old_brand, o.bullets AS old_bullets, o.images AS old_images,
                    n.title AS new_title, n.brand AS new_brand, n.bullets AS new_bullets, n.images AS new_images
             FROM listing_versions n
             JOIN listing_versions o ON o.marketplace = n.marketplace AND o.asin = n.asin AND o.source = n.source
              AND o.valid_until = n.valid_from
             WHERE n.valid_from >= $1 AND n.valid_from < $2
             ORDER BY n.marketplace, n.asin, n.source, n.valid_from",
        )
        .bind(from.timestamp_micros())
        .bind(until.timestamp_micros())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ListingChange {
                    product: product_key(row, TABLE)?,
                    source: row.try_get("source")?,
                    day: day_of(instant(row, TABLE, "valid_from")?),
                    before: listing_side(row, ["old_title", "old_brand", "old_bullets", "old_images"])?,
                    after: listing_side(row, ["new_title", "new_brand", "new_bullets", "new_images"])?,
                })
            })
            .collect()
    }

    /// What the sources showed on the days of products whose listing they show in more than one version, one
    /// of them begun in `[from, until)`. Sorted by product and source.
    pub async fn load_listing_looks(
        &self,
        days: DayRange,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ListingLooks>> {
        let seen = query(
            "SELECT v.marketplace, v.asin, v.source, v.valid_from, o.day, MAX(o.observed_at) AS newest
             FROM listing_versions v
             JOIN observations o ON o.marketplace = v.marketplace AND o.asin = v.asin AND o.source = v.source
              AND o.found = 1 AND o.is_current = 1 AND o.day BETWEEN $1 AND $2 AND o.listing_hash <> $5
              AND o.observed_at >= v.valid_from AND (v.valid_until IS NULL OR o.observed_at < v.valid_until)
             WHERE (v.marketplace, v.asin, v.source) IN (
               SELECT n.marketplace, n.asin, n.source FROM listing_versions n
               WHERE n.valid_from >= $3 AND n.valid_from < $4)
             GROUP BY v.marketplace, v.asin, v.source, v.valid_from, o.day
             ORDER BY v.marketplace, v.asin, v.source, o.day, newest",
        )
        .bind(days.first.to_string())
        .bind(days.last.to_string())
        .bind(from.timestamp_micros())
        .bind(until.timestamp_micros())
        // Who says nothing of the listing has not looked at it.
        .bind(listing_content(&Listing::default()).1)
        .fetch_all(self.reader())
        .await?;
        let versions = query(
            "SELECT v.marketplace, v.asin, v.source, v.valid_from, v.title, v.brand, v.bullets, v.images
             FROM listing_versions v
             WHERE (v.valid_until IS NULL OR v.valid_until >= $1)
               AND (v.marketplace, v.asin, v.source) IN (
                 SELECT n.marketplace, n.asin, n.source FROM listing_versions n
                 WHERE n.valid_from >= $1 AND n.valid_from < $2)
             ORDER BY v.marketplace, v.asin, v.source, v.valid_from",
        )
        .bind(from.timestamp_micros())
        .bind(until.timestamp_micros())
        .fetch_all(self.reader())
        .await?;
        let mut listings: Vec<ListingLooks> = Vec::new();
        let mut places: HashMap<(ProductKey, String, i64), (usize, usize)> = HashMap::new();
        for row in &versions {
            let (product, source): (_, String) = (product_key(row, TABLE)?, row.try_get("source")?);
            if listings.last().is_none_or(|last| (last.product, &last.source) != (product, &source)) {
                let (versions, looks) = (Vec::new(), Vec::new());
                listings.push(ListingLooks { product, source: source.clone(), versions, looks });
            }
            let Some(at) = listings.len().checked_sub(1) else { continue };
            let key = (product, source, row.try_get("valid_from")?);
            places.insert(key, (at, listings[at].versions.len()));
            listings[at].versions.push(listing_side(row, ["title", "brand", "bullets", "images"])?);
        }
        for row in &seen {
            let key = (product_key(row, TABLE)?, row.try_get("source")?, row.try_get("valid_from")?);
            let Some(&(at, version)) = places.get(&key) else { continue };
            let (day, looks) = (word(row, TABLE, "day")?, &mut listings[at].looks);
            match looks.last_mut() {
                // The last look of the day is what it showed.
                Some(last) if last.0 == day => last.1 = version,
                _ => looks.push((day, version)),
            }
        }
        listings.retain(|listing| listing.versions.len() > 1);
        Ok(listings)
    }
}

/// Title, brand, bullets and images of a version.
fn listing_side(row: &Row, [title, brand, bullets, images]: [&'static str; 4]) -> Result<ListingSide> {
    Ok(ListingSide {
        title: row.try_get(title)?,
        brand: row.try_get(brand)?,
        bullets: from_json(row, TABLE, bullets)?,
        images: from_json(row, TABLE, images)?,
    })
}
