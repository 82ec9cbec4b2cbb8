//! The daily rows with their ranks: chosen from a day's observations, and read back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::columns::{instant, known_listed, parsed, product_key, to_json, word};
use super::super::db::{Monthly, Row, Statement, Values, bulk, query, query_scalar};
use super::super::ops::bump_mark;
use super::super::{Result, Store, Tx};
use super::{Derive, observations};
use crate::model::{
    Availability, Condition, Currency, DailyRow, Day, DayRange, Fulfilment, Marketplace, OfferBlock,
    PriceBasis, ProductKey, Rank, RankBlock, RatingBlock,
};

impl Store {
    /// Daily rows of the products in the range, sorted by (marketplace, asin, day), ranks included.
    pub async fn load_daily(&self, keys: &[ProductKey], range: DayRange) -> Result<Vec<DailyRow>> {
        let mut rows = Vec::new();
        let mut tx = self.reader().begin_reading().await?;
        let sorted: BTreeSet<(String, ProductKey)> =
            keys.iter().map(|key| (format!("{}:{}", key.marketplace, key.asin), *key)).collect();
        for (_, key) in sorted {
            let of_product = |sql: &'static str| {
                query(sql)
                    .bind(key.marketplace.code())
                    .bind(key.asin.to_string())
                    .bind(range.first.to_string())
                    .bind(range.last.to_string())
            };
            let days = of_product(LOAD_DAILY).fetch_all(&mut tx).await?;
            let of_engine = if let Tx::Sqlite(_) = tx { LOAD_RANKS } else { LOAD_RANKS_OF_SERVER };
            let ranks = of_product(of_engine).fetch_all(&mut tx).await?;
            rows.extend(join_ranks(&days, &ranks)?);
        }
        tx.commit().await?;
        Ok(rows)
    }

    /// The newest day with a daily row, of one marketplace or of all.
    pub async fn newest_day(&self, marketplace: Option<Marketplace>) -> Result<Option<Day>> {
        let newest: Option<String> = query_scalar(
            "SELECT MAX(day) FROM (SELECT (SELECT MAX(day) FROM product_metrics_daily d WHERE d.marketplace = m.value) AS day
             FROM json_each($1) m) AS newest",
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

pub(in super::super) const LOAD_DAILY: &str = "SELECT * FROM product_metrics_daily
    WHERE marketplace = $1 AND asin = $2 AND day BETWEEN $3 AND $4 ORDER BY day";

pub(in super::super) const LOAD_RANKS: &str =
    "SELECT r.day, r.category_id, r.category, r.rank, r.is_main, r.is_leaf
    FROM product_metrics_daily d JOIN ranks r
      ON r.marketplace = d.marketplace AND r.day = d.day AND r.asin = d.asin
    WHERE d.marketplace = $1 AND d.asin = $2 AND d.day BETWEEN $3 AND $4 ORDER BY d.day, r.ordinal";

/// A server finds them by product, where a file keeps a day's together.
pub(in super::super) const LOAD_RANKS_OF_SERVER: &str =
    "SELECT day, category_id, category, rank, is_main, is_leaf
    FROM ranks WHERE marketplace = $1 AND asin = $2 AND day BETWEEN $3 AND $4 ORDER BY day, ordinal";

/// Chooses the daily rows of the touched product-days anew and writes those that changed.
pub(super) async fn rebuild(
    tx: &mut Tx,
    touched: &BTreeSet<(ProductKey, Day)>,
    derive: &Derive<'_>,
) -> Result<u64> {
    let mut changed = 0;
    let mut touched: Vec<(ProductKey, Day)> = touched.iter().copied().collect();
    // In the order in which the rows lie.
    touched.sort_by_key(|(key, day)| (key.marketplace.code(), *day, key.asin));
    for chunk in touched.chunks(500) {
        let mut observed = observations::of_days(tx, chunk).await?;
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

/// The beginning of a statement that reads the product-days as `touched (m, a, d)`.
pub(super) fn with_touched_days(days: &[(ProductKey, Day)]) -> Statement {
    let mut query = Statement::new("WITH touched (m, a, d) AS (");
    query.push_rows(days, |values, (key, day)| {
        values.push_bind(key.marketplace.code()).push_bind(key.asin.to_string()).push_bind(day.to_string());
    });
    query
}

/// The stored daily rows of the given product-days.
async fn stored_days(
    tx: &mut Tx,
    days: &[(ProductKey, Day)],
) -> Result<HashMap<(ProductKey, Day), DailyRow>> {
    let select = |table: &str, columns: &str, order: &str| {
        let mut query = with_touched_days(days);
        query.push(format!(
            ") SELECT {columns} FROM touched CROSS JOIN {table} t ON t.marketplace = m AND t.asin = a AND t.day = d {order}"
        ));
        query
    };
    let daily = select("product_metrics_daily", "t.*", "").build().fetch_all(&mut *tx).await?;
    let ranks = select("ranks", "t.*", "ORDER BY t.marketplace, t.asin, t.day, t.ordinal")
        .build()
        .fetch_all(tx)
        .await?;
    let mut by_day: HashMap<(ProductKey, Day), Vec<&Row>> = HashMap::new();
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
        "changed_days (marketplace, day, changed_seq)",
        " ON CONFLICT (marketplace, day) DO UPDATE SET changed_seq = excluded.changed_seq",
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
    for table in [Monthly::DailyRows, Monthly::Ranks] {
        table.make(tx, upserts.iter().map(|row| row.day.month())).await?;
    }
    bulk::insert(tx, DAILY_COLUMNS, DAILY_TAIL, upserts, bind_daily).await?;
    let ranks: Vec<(&DailyRow, usize)> =
        upserts.iter().flat_map(|row| (0..row.rank.ranks.len()).map(move |ordinal| (row, ordinal))).collect();
    bulk::insert(
        tx,
        "ranks (marketplace, asin, day, ordinal, category_id, category, rank, is_main, is_leaf)",
        "",
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
    query(sql).bind(key.marketplace.code()).bind(key.asin.as_str()).bind(day.to_string()).execute(tx).await?;
    Ok(())
}

const DAILY_COLUMNS: &str = "product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor,
    list_price_minor, buy_box_price_minor, shipping_minor, landed_price_minor, price_basis, coupon_minor, coupon_pct,
    is_deal, is_prime, seller_id, seller_name, fulfilment, condition, offer_count, availability, stock_quantity, bsr,
    bsr_category, bsr_category_id, bsr_leaf, bsr_leaf_category, bsr_leaf_category_id, rating_centi, ratings_count,
    monthly_sold_min, low_price_minor, high_price_minor, observations, source, sources)";

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

fn bind_daily(values: &mut Values<'_>, row: &DailyRow) {
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

/// Both lists are sorted by day.
fn join_ranks(days: &[Row], ranks: &[Row]) -> Result<Vec<DailyRow>> {
    let mut by_day: BTreeMap<Day, Vec<&Row>> = BTreeMap::new();
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

fn rank_block(rows: &[&Row]) -> Result<RankBlock> {
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

fn daily_row(row: &Row) -> Result<DailyRow> {
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
