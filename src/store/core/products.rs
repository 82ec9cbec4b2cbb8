//! Listing versions and the product rows drawn from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::super::columns::{from_json, instant, known_instant, known_word, product_key, to_json, word};
use super::super::db::{Row, Statement, bulk, query};
use super::super::{Result, Store, Tx};
use super::observations::Superseded;
use super::{Derive, NewObservation, NormalizedBatch};
use crate::model::{Asin, Day, Listing, Marketplace, ProductKey, Timestamp, Workspace};
use crate::normalize::ListingVersion;

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

impl Store {
    /// What is known of a product; null when it was never seen.
    pub async fn load_product(&self, key: ProductKey) -> Result<Option<ProductRecord>> {
        let row = query(
            "SELECT marketplace, asin, title, brand, category, image_url, parent_asin, status, first_day, last_day
             FROM products WHERE marketplace = $1 AND asin = $2",
        )
        .bind(key.marketplace.code())
        .bind(key.asin.as_str())
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(product_record).transpose()
    }

    /// Every marketplace in which an ASIN was seen, or is watched in the workspace, sorted.
    pub async fn find_products(&self, workspace: &Workspace, asin: Asin) -> Result<Vec<ProductKey>> {
        let rows = query(
            "SELECT marketplace FROM products WHERE asin = $1
             UNION SELECT marketplace FROM watch_items WHERE workspace = $2 AND asin = $1 ORDER BY 1",
        )
        .bind(asin.as_str())
        .bind(workspace.as_str())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| Ok(ProductKey { marketplace: word(row, "products", "marketplace")?, asin }))
            .collect()
    }
}

/// Products of one statement.
const CHUNK: usize = 500;

/// Cuts listing versions anew where an observation does not fit them or one counts no more, and writes the product
/// rows of all touched products.
pub(super) async fn rebuild(
    tx: &mut Tx,
    batch: &NormalizedBatch,
    superseded: &[Superseded],
    derive: &Derive<'_>,
) -> Result<()> {
    let touched: BTreeSet<ProductKey> = (batch.observations.iter().map(|new| new.observation.key()))
        .chain(superseded.iter().map(|old| old.key))
        .collect();
    let touched: Vec<ProductKey> = touched.into_iter().collect();
    for chunk in touched.chunks(CHUNK) {
        let versions = stored_versions(tx, chunk).await?;
        // Since when the versions of a product and source are wrong: since an observation that does not fit, and all of
        // them where one counts no more.
        let mut wrong: BTreeMap<(ProductKey, &str), Timestamp> = BTreeMap::new();
        let mut since = |key: ProductKey, source, at: Timestamp| {
            wrong.entry((key, source)).and_modify(|known| *known = at.min(*known)).or_insert(at);
        };
        for new in batch.observations.iter().filter(|new| new.observation.found) {
            if chunk.binary_search(&new.observation.key()).is_ok() && !fits(new, &versions, derive) {
                since(new.observation.key(), new.source.as_str(), new.observed_at);
            }
        }
        for old in superseded.iter().filter(|old| chunk.binary_search(&old.key).is_ok()) {
            since(old.key, old.source.as_str(), Timestamp::MIN_UTC);
        }
        for ((key, source), at) in wrong {
            let known = versions.get(&(key, source.to_owned())).map_or(&[][..], Vec::as_slice);
            rebuild_versions(tx, key, source, known, at, derive).await?;
        }
        refresh_products(tx, chunk, derive.precedence).await?;
    }
    for old in superseded {
        query(
            "DELETE FROM products WHERE marketplace = $1 AND asin = $2 AND NOT EXISTS (
               SELECT 1 FROM observations o WHERE o.marketplace = $1 AND o.asin = $2 AND o.is_current = 1)",
        )
        .bind(old.key.marketplace.code())
        .bind(old.key.asin.as_str())
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// In time order.
type Versions = HashMap<(ProductKey, String), Vec<ListingVersion>>;

/// True when the observation shows what the version in force at its time already says, part of it, or nothing.
fn fits(new: &NewObservation, versions: &Versions, derive: &Derive<'_>) -> bool {
    let shown = &new.observation.listing;
    if *shown == Listing::default() {
        return true;
    }
    let at = new.observed_at;
    let of_source = versions.get(&(new.observation.key(), new.source.clone()));
    of_source
        .into_iter()
        .flatten()
        .find(|version| version.valid_from <= at && version.valid_until.is_none_or(|until| at < until))
        .is_some_and(|version| {
            version.content_hash == new.content_hash || (derive.adds_nothing)(&version.listing, shown)
        })
}

/// The beginning of a statement that reads the products as `touched (m, a)`.
fn with_touched_products(keys: &[ProductKey]) -> Statement {
    let mut query = Statement::new("WITH touched (m, a) AS (");
    query.push_rows(keys, |values, key| {
        values.push_bind(key.marketplace.code()).push_bind(key.asin.to_string());
    });
    query
}

async fn stored_versions(tx: &mut Tx, keys: &[ProductKey]) -> Result<Versions> {
    let mut query = with_touched_products(keys);
    query.push(
        ") SELECT v.*
         FROM touched CROSS JOIN listing_versions v ON v.marketplace = m AND v.asin = a ORDER BY v.valid_from",
    );
    let mut versions = Versions::new();
    for row in &query.build().fetch_all(&mut *tx).await? {
        let version = ListingVersion {
            source: row.try_get("source")?,
            valid_from: instant(row, TABLE, "valid_from")?,
            valid_until: known_instant(row, TABLE, "valid_until")?,
            content_hash: row.try_get("content_hash")?,
            listing: listing(row)?,
        };
        versions.entry((product_key(row, TABLE)?, version.source.clone())).or_default().push(version);
    }
    Ok(versions)
}

const TABLE: &str = "listing_versions";

fn listing(row: &Row) -> Result<Listing> {
    let category: Option<String> = row.try_get("category")?;
    Ok(Listing {
        title: row.try_get("title")?,
        brand: row.try_get("brand")?,
        category_path: category
            .iter()
            .flat_map(|path| path.split(Listing::LEVELS))
            .map(str::to_owned)
            .collect(),
        image_url: row.try_get("image_url")?,
        parent_asin: known_word(row, TABLE, "parent_asin")?,
        bullets: from_json(row, TABLE, "bullets")?,
        images: from_json(row, TABLE, "images")?,
        variants: from_json(row, TABLE, "variants")?,
    })
}

/// Cuts the versions of one product and source anew, from the one on that was in force at `since`; `known` are those
/// stored, in time order. What lies before is not read: a year of days would be, for every change of a title.
async fn rebuild_versions(
    tx: &mut Tx,
    key: ProductKey,
    source: &str,
    known: &[ListingVersion],
    since: Timestamp,
    derive: &Derive<'_>,
) -> Result<()> {
    let earlier = known.partition_point(|version| version.valid_from <= since);
    let (in_force, before) = match &known[..earlier] {
        [.., before, in_force] => (Some(in_force), Some(before)),
        [in_force] => (Some(in_force), None),
        [] => (None, None),
    };
    let begin = in_force.map(|version| version.valid_from);
    // The day bounds the search in the index; it may be another than UTC's.
    let first_day = begin.map_or(String::new(), |at| Day::from(at.date_naive()).plus(-1).to_string());
    let before = before.map(|version| ListingVersion { valid_until: None, ..version.clone() });
    let replaced_from = before.as_ref().map(|version| version.valid_from);
    let rows = query(
        "SELECT o.observed_at, c.content FROM observations o
         JOIN listing_contents c ON c.listing_hash = o.listing_hash
         WHERE o.marketplace = $1 AND o.asin = $2 AND o.found = 1 AND o.is_current = 1 AND o.source = $3
           AND o.day >= $4 AND o.observed_at >= $5
         ORDER BY o.observed_at, o.body_sha256, o.receipt_id, o.item",
    )
    .bind(key.marketplace.code())
    .bind(key.asin.as_str())
    .bind(source)
    .bind(first_day)
    .bind(micros(begin))
    .fetch_all(&mut *tx)
    .await?;
    let shown: Vec<(Timestamp, Listing)> = rows
        .iter()
        .map(|row| {
            Ok((instant(row, "observations", "observed_at")?, from_json(row, "listing_contents", "content")?))
        })
        .collect::<Result<_>>()?;
    let versions = (derive.versions)(source, before, &shown);
    query(
        "DELETE FROM listing_versions
         WHERE marketplace = $1 AND asin = $2 AND source = $3 AND valid_from >= $4",
    )
    .bind(key.marketplace.code())
    .bind(key.asin.as_str())
    .bind(source)
    .bind(micros(replaced_from))
    .execute(tx)
    .await?;
    bulk::insert(
        tx,
        "listing_versions (marketplace, asin, source, valid_from, valid_until, content_hash, title, brand,
         category, image_url, parent_asin, bullets, images, variants)",
        "",
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
                .push_bind(listing.category())
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

/// As a bound that everything reaches where there is none.
fn micros(at: Option<Timestamp>) -> i64 {
    at.map_or(i64::MIN, |at| at.timestamp_micros())
}

/// Writes the product rows: listing of the most trusted source, first and last day seen, gone or not.
async fn refresh_products(tx: &mut Tx, keys: &[ProductKey], precedence: &[String]) -> Result<()> {
    let mut query = with_touched_products(keys);
    // Two "not found" answers on different days, and nothing found since, make a product gone.
    query.push(
        "), seen AS (SELECT m, a,
            (SELECT MIN(day) FROM observations WHERE marketplace = m AND asin = a AND found = 1 AND is_current = 1) AS first_found,
            (SELECT MAX(day) FROM observations WHERE marketplace = m AND asin = a AND found = 1 AND is_current = 1) AS last_found,
            (SELECT MIN(day) FROM observations WHERE marketplace = m AND asin = a AND found = 0 AND is_current = 1) AS first_lost
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
                     AND found = 0 AND is_current = 1 AND day > COALESCE(last_found, '')) >= 2 THEN 'gone' ELSE 'active' END,
          COALESCE(first_found, first_lost), COALESCE(last_found, first_lost)
        FROM seen LEFT JOIN chosen ON chosen.m = seen.m AND chosen.a = seen.a AND place = 1
        WHERE COALESCE(first_found, first_lost) IS NOT NULL
        ON CONFLICT (marketplace, asin) DO UPDATE SET title = excluded.title, brand = excluded.brand,
          category = excluded.category, image_url = excluded.image_url, parent_asin = excluded.parent_asin,
          status = excluded.status, first_day = excluded.first_day, last_day = excluded.last_day",
    );
    query.build().execute(tx).await?;
    Ok(())
}

fn product_record(row: &Row) -> Result<ProductRecord> {
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
