//! What is known of many products at once: their observations, prices and listings of some days, in a few
//! statements.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::columns::{from_json, instant, product_key, to_json, word};
use super::core::facts_of;
use super::db::{Row, query};
use super::{Result, Store};
use crate::model::{DayRange, Listing, Marketplace, Observation, ProductKey, Timestamp};
use crate::rollup::rules::{DayPrice, ListingSeen, ListingSide};

/// Products that one statement asks about.
const AT_ONCE: usize = 500;

/// What a source has shown of a product.
#[derive(Clone, Debug)]
pub struct Seen {
    pub source: String,
    pub observed_at: Timestamp,
    pub observation: Observation,
}

impl Store {
    /// The current readings of these products on these days, each product's sorted by time; without their
    /// listings.
    pub async fn load_seen(
        &self,
        products: impl IntoIterator<Item = ProductKey>,
        days: DayRange,
    ) -> Result<HashMap<ProductKey, Vec<Seen>>> {
        let rows = self.rows_of(
            "SELECT marketplace, asin, source, observed_at, found, facts FROM observations
             WHERE marketplace = $1 AND asin IN (SELECT value FROM json_each($2)) AND found IN (0, 1)
               AND day BETWEEN $3 AND $4 AND is_current = 1
             ORDER BY marketplace, asin, day, observed_at, body_sha256, item",
            products,
            days,
        );
        let seen = |row: &Row| {
            Ok(Seen {
                source: row.try_get("source")?,
                observed_at: instant(row, "observations", "observed_at")?,
                observation: facts_of(row, row.try_get("found")?)?,
            })
        };
        by_product(&rows.await?, "observations", seen)
    }

    /// The known prices of these products on these days, each product's sorted by day.
    pub async fn load_day_prices(
        &self,
        products: impl IntoIterator<Item = ProductKey>,
        days: DayRange,
    ) -> Result<HashMap<ProductKey, Vec<DayPrice>>> {
        const TABLE: &str = "product_metrics_daily";
        let rows = self.rows_of(
            "SELECT marketplace, asin, day, price_minor, currency FROM product_metrics_daily
             WHERE marketplace = $1 AND asin IN (SELECT value FROM json_each($2)) AND day BETWEEN $3 AND $4
               AND price_minor IS NOT NULL
             ORDER BY marketplace, asin, day",
            products,
            days,
        );
        let price = |row: &Row| {
            Ok(DayPrice {
                day: word(row, TABLE, "day")?,
                price_minor: row.try_get("price_minor")?,
                currency: word(row, TABLE, "currency")?,
            })
        };
        by_product(&rows.await?, TABLE, price)
    }

    /// What the sources have shown of these products' listings on these days, each product's sorted by time.
    pub async fn load_listings_seen(
        &self,
        products: impl IntoIterator<Item = ProductKey>,
        days: DayRange,
    ) -> Result<HashMap<ProductKey, Vec<ListingSeen>>> {
        let rows = self.rows_of(
            "SELECT o.marketplace, o.asin, o.source, o.day, c.content
             FROM observations o JOIN listing_contents c ON c.listing_hash = o.listing_hash
             WHERE o.marketplace = $1 AND o.asin IN (SELECT value FROM json_each($2)) AND o.found = 1
               AND o.day BETWEEN $3 AND $4 AND o.is_current = 1
             ORDER BY o.marketplace, o.asin, o.day, o.observed_at, o.source",
            products,
            days,
        );
        let seen = |row: &Row| {
            let Listing { title, brand, bullets, images, .. } =
                from_json(row, "listing_contents", "content")?;
            Ok(ListingSeen {
                source: row.try_get("source")?,
                day: word(row, "observations", "day")?,
                side: ListingSide { title, brand, bullets, images },
            })
        };
        by_product(&rows.await?, "observations", seen)
    }

    /// The rows of a statement about products of one marketplace ($1, $2) and days ($3, $4).
    async fn rows_of(
        &self,
        statement: &'static str,
        products: impl IntoIterator<Item = ProductKey>,
        days: DayRange,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (marketplace, asins) in chunks(products) {
            let of_chunk = query(statement)
                .bind(marketplace.code())
                .bind(asins)
                .bind(days.first.to_string())
                .bind(days.last.to_string())
                .fetch_all(self.reader());
            rows.extend(of_chunk.await?);
        }
        Ok(rows)
    }
}

fn by_product<T>(
    rows: &[Row],
    table: &'static str,
    read: impl Fn(&Row) -> Result<T>,
) -> Result<HashMap<ProductKey, Vec<T>>> {
    let mut read_by_product: HashMap<ProductKey, Vec<T>> = HashMap::new();
    for row in rows {
        read_by_product.entry(product_key(row, table)?).or_default().push(read(row)?);
    }
    Ok(read_by_product)
}

/// The products once each, by marketplace, as JSON arrays of ASINs of a size that a statement takes.
fn chunks(products: impl IntoIterator<Item = ProductKey>) -> Vec<(Marketplace, String)> {
    let mut asins: BTreeMap<Marketplace, Vec<String>> = BTreeMap::new();
    for product in products.into_iter().collect::<BTreeSet<_>>() {
        asins.entry(product.marketplace).or_default().push(product.asin.to_string());
    }
    let of = |(marketplace, asins): (Marketplace, Vec<String>)| {
        asins.chunks(AT_ONCE).map(|chunk| (marketplace, to_json(&chunk))).collect::<Vec<_>>()
    };
    asins.into_iter().flat_map(of).collect()
}
